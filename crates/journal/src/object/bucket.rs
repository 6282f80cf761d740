//! A bucket with our own patience: every request is bounded in time and tried again, and an answer
//! that leaves open what happened is settled where it can be.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt;
use levada_env::{
    Env,
    port::{PortError, PortResult},
};
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload,
    path::Path,
};

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long a bucket is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One request, its body included.
    pub request_time_max: Duration,
    /// From the first request to the last retry's start.
    pub retry_time_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            request_time_max: Duration::from_secs(20),
            retry_time_max: Duration::from_secs(60),
        }
    }
}

/// What one request came to.
enum Failure {
    /// The server refused for good.
    Refused(String),
    /// Worth another try.
    Passing(String),
}

impl Failure {
    fn of(error: &Error) -> Failure {
        let text = error.to_string();
        match error {
            Error::NotFound { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::UnknownConfigurationKey { .. } => Failure::Refused(text),
            _ => Failure::Passing(text),
        }
    }
}

/// Who stands under a name that was to be created.
pub(super) enum Found {
    Ours,
    Others,
}

#[derive(Clone)]
pub(super) struct Bucket {
    env: Env,
    store: Arc<dyn ObjectStore>,
    patience: Patience,
}

/// The time of one operation over all its tries.
struct Tries {
    env: Env,
    end: Duration,
    pause: Duration,
}

impl Tries {
    /// Waits before the next try; false when the time is up.
    async fn again(&mut self) -> bool {
        if self.env.monotonic() + self.pause >= self.end {
            return false;
        }
        // Half of it by chance, so that writers that failed together do not come back together.
        let half = self.pause / 2;
        let nanos = half.as_nanos().max(1) as u64;
        let chance = Duration::from_nanos(self.env.random_u64() % nanos);
        self.env.sleep(half + chance).await;
        self.pause = (self.pause * 2).min(BACKOFF_MAX);
        true
    }
}

impl Bucket {
    pub fn new(env: Env, store: Arc<dyn ObjectStore>, patience: Patience) -> Self {
        Bucket {
            env,
            store,
            patience,
        }
    }

    fn tries(&self) -> Tries {
        Tries {
            env: self.env.clone(),
            end: self.env.monotonic() + self.patience.retry_time_max,
            pause: BACKOFF_MIN,
        }
    }

    /// One request within its time.
    async fn once<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<object_store::Result<T>, Failure> {
        let limit = self.patience.request_time_max;
        let answer = self.env.timeout(limit, request).await;
        answer.map_err(|_| Failure::Passing(format!("no answer within {limit:?}")))
    }

    /// Makes an object that must not be there yet. When one is, its first bytes tell `is_ours`
    /// whether an earlier try of this call made it, whose answer was lost.
    ///
    /// # Errors
    /// `Rejected`: it is not there. `Indeterminate`: the bucket did not say, and it may yet appear.
    pub async fn create(
        &self,
        path: &Path,
        payload: PutPayload,
        head: Range<u64>,
        is_ours: impl Fn(&[u8]) -> bool,
    ) -> PortResult<Found> {
        let mut tries = self.tries();
        let mut sent = false;
        loop {
            let put = self
                .store
                .put_opts(path, payload.clone(), PutMode::Create.into());
            let failure = match self.once(put).await {
                Ok(Ok(_)) => return Ok(Found::Ours),
                Ok(Err(Error::AlreadyExists { .. })) => {
                    match self.read_once(path, head.clone()).await {
                        Ok(Some(bytes)) if is_ours(&bytes) => return Ok(Found::Ours),
                        Ok(Some(_)) => return Ok(Found::Others),
                        // A conflict with a request under way (409): nothing came of it.
                        Ok(None) => Failure::Passing("a conflicting request".into()),
                        Err(failure) => failure,
                    }
                }
                Ok(Err(error)) => {
                    let failure = Failure::of(&error);
                    sent |= matches!(failure, Failure::Passing(_));
                    failure
                }
                Err(failure) => {
                    sent = true;
                    failure
                }
            };
            let (why, last) = match failure {
                Failure::Refused(why) => (why, true),
                Failure::Passing(why) => {
                    let last = !tries.again().await;
                    (why, last)
                }
            };
            match (last, sent) {
                (false, _) => tracing::debug!(%path, why, "put is tried again"),
                (true, true) => return Err(PortError::Indeterminate(why)),
                (true, false) => return Err(PortError::Rejected(why)),
            }
        }
    }

    /// Bytes of an object, fewer where it ends earlier; `None` when there is no such object.
    async fn read_once(&self, path: &Path, range: Range<u64>) -> Result<Option<Bytes>, Failure> {
        let start = range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let get = async { self.store.get_opts(path, options).await?.bytes().await };
        let error = match self.once(get).await? {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => error,
        };
        // That the object ends before the range begins is not told apart from other errors.
        match self.once(self.store.head(path)).await? {
            Ok(found) if found.size <= start => Ok(Some(Bytes::new())),
            Err(Error::NotFound { .. }) => Ok(None),
            _ => Err(Failure::of(&error)),
        }
    }

    /// As [`Bucket::read_once`], tried again.
    ///
    /// # Errors
    /// `Rejected` when the bucket does not answer or refuses.
    pub async fn read(&self, path: &Path, range: Range<u64>) -> PortResult<Option<Bytes>> {
        let mut tries = self.tries();
        loop {
            match self.read_once(path, range.clone()).await {
                Ok(found) => return Ok(found),
                Err(Failure::Refused(why)) => return Err(PortError::Rejected(why)),
                Err(Failure::Passing(why)) if !tries.again().await => {
                    return Err(PortError::Rejected(why));
                }
                Err(Failure::Passing(why)) => tracing::debug!(%path, why, "get is tried again"),
            }
        }
    }

    /// Removes an object, if there is one.
    ///
    /// # Errors
    /// `Rejected` or `Indeterminate`: call it again.
    pub async fn delete(&self, path: &Path) -> PortResult<()> {
        let mut tries = self.tries();
        loop {
            let failure = match self.once(self.store.delete(path)).await {
                Ok(Ok(()) | Err(Error::NotFound { .. })) => return Ok(()),
                Ok(Err(error)) => Failure::of(&error),
                Err(failure) => failure,
            };
            match failure {
                Failure::Refused(why) => return Err(PortError::Rejected(why)),
                Failure::Passing(why) if !tries.again().await => {
                    return Err(PortError::Indeterminate(why));
                }
                Failure::Passing(_) => {}
            }
        }
    }

    /// An error of a list does not say that we are not allowed; one of an object does.
    async fn why_not_listed(&self, prefix: &Path, error: &Error) -> Failure {
        match self.once(self.store.head(prefix)).await {
            Ok(Err(head @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }))) => {
                Failure::of(&head)
            }
            _ => Failure::of(error),
        }
    }

    /// Every object below `prefix`, in no order.
    ///
    /// # Errors
    /// `Rejected` when the bucket does not answer or refuses.
    pub async fn list(&self, prefix: &Path) -> PortResult<Vec<ObjectMeta>> {
        let mut tries = self.tries();
        loop {
            // Page by page: each may take the time of a request.
            let mut pages = self.store.list(Some(prefix)).try_chunks(PAGE_OBJECTS);
            let mut listed = Vec::new();
            let failure = loop {
                let page = async { pages.try_next().await.map_err(|error| error.1) };
                match self.once(page).await {
                    Ok(Ok(Some(page))) => listed.extend(page),
                    Ok(Ok(None)) => return Ok(listed),
                    Ok(Err(error)) => break self.why_not_listed(prefix, &error).await,
                    Err(failure) => break failure,
                }
            };
            match failure {
                Failure::Refused(why) => return Err(PortError::Rejected(why)),
                Failure::Passing(why) if !tries.again().await => {
                    return Err(PortError::Rejected(why));
                }
                Failure::Passing(why) => tracing::debug!(%prefix, why, "list is tried again"),
            }
        }
    }
}

/// Objects in one answer of S3.
const PAGE_OBJECTS: usize = 1000;
