//! The journal in a bucket, over a bucket in memory that answers as told: late, never, or with the
//! answer lost.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use levada_env::{
    Env,
    fault::FaultFs,
    port::{PortError, Urgency},
};
use levada_journal::{
    Journal,
    conformance::{
        Faulty, Place, a_crash_of_the_wrapper_takes_what_was_open, conforms,
        each_fault_fires_and_is_counted,
    },
    object::{ObjectJournal, ObjectSettings, Patience},
};
use levada_model::Extent;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory, path::Path,
};
use parking_lot::Mutex;

/// What becomes of a put.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Put {
    #[default]
    Answers,
    /// It is stored and the answer is lost.
    LosesAnswer,
    /// It is stored and no answer ever comes.
    Hangs,
    /// It is refused for a conflicting request (409), and nothing is stored.
    Conflicts,
    /// It fails on the server (500), and nothing is stored.
    Fails,
    /// It is not allowed.
    Forbidden,
}

/// A bucket in memory with faults. Clones are the same one.
#[derive(Clone, Debug, Default)]
struct Bucket {
    memory: Arc<InMemory>,
    /// For the next puts; `times` of them.
    put: Arc<Mutex<Put>>,
    times: Arc<AtomicU32>,
    reads_fail: Arc<AtomicU32>,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bucket in memory")
    }
}

fn failed(what: &str) -> Error {
    Error::Generic {
        store: "test",
        source: what.into(),
    }
}

fn take(times: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    times
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

impl Bucket {
    fn next_puts(&self, put: Put, times: u32) {
        *self.put.lock() = put;
        self.times.store(times, Ordering::SeqCst);
    }

    async fn journal(&self, settings: ObjectSettings) -> ObjectJournal {
        let store = Arc::new(self.clone());
        ObjectJournal::open(world(), store, settings).await.unwrap()
    }

    async fn objects(&self) -> Vec<ObjectMeta> {
        let all: Vec<_> = self.memory.list(None).collect().await;
        all.into_iter().map(Result::unwrap).collect()
    }

    /// The objects whose path has this part.
    async fn named(&self, part: &str) -> Vec<Path> {
        let all = self.objects().await.into_iter().map(|o| o.location);
        all.filter(|path| path.as_ref().contains(part)).collect()
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, o: PutOptions) -> Result<PutResult> {
        let put = match take(&self.times) {
            true => *self.put.lock(),
            false => Put::Answers,
        };
        match put {
            Put::Answers => self.memory.put_opts(at, bytes, o).await,
            Put::LosesAnswer => {
                self.memory.put_opts(at, bytes, o).await?;
                Err(failed("the answer was lost"))
            }
            Put::Hangs => {
                self.memory.put_opts(at, bytes, o).await?;
                std::future::pending().await
            }
            Put::Conflicts => Err(Error::AlreadyExists {
                path: at.to_string(),
                source: "409".into(),
            }),
            Put::Fails => Err(failed("500")),
            Put::Forbidden => Err(Error::PermissionDenied {
                path: at.to_string(),
                source: "403".into(),
            }),
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        o: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.memory.put_multipart_opts(at, o).await
    }

    async fn get_opts(&self, at: &Path, o: GetOptions) -> Result<GetResult> {
        match take(&self.reads_fail) {
            true => Err(failed("503")),
            false => self.memory.get_opts(at, o).await,
        }
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.memory.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, o: CopyOptions) -> Result<()> {
        self.memory.copy_opts(from, to, o).await
    }
}

fn world() -> Env {
    use levada_env::OsRandom;
    // Epochs must not depend on chance that repeats.
    Env::simulated(5, Arc::new(FaultFs::new(5))).with_random(Arc::new(OsRandom))
}

fn settings() -> ObjectSettings {
    ObjectSettings {
        prefix: "cell".into(),
        uploads_max: 4,
        staged_bytes_max: 1 << 20,
        reserve_bytes: 1 << 10,
        patience: Patience {
            request_time_max: Duration::from_secs(1),
            retry_time_max: Duration::from_secs(10),
        },
        ..ObjectSettings::default()
    }
}

impl Place for Bucket {
    async fn open(&mut self) -> Arc<dyn Journal> {
        Arc::new(self.journal(settings()).await)
    }

    /// Only the process: a bucket does not forget.
    async fn crash(&mut self) -> bool {
        true
    }

    async fn damage(&mut self, extent: Extent) -> bool {
        let name = format!("{:010x}", extent.segment.0 & 0xff_ffff_ffff);
        let epoch = format!("{:06x}/{name}", extent.segment.0 >> 40);
        let path = self.named(&epoch).await.remove(0);
        let stored = self.memory.get(&path).await.unwrap().bytes().await.unwrap();
        let mut stored = stored.to_vec();
        let middle = 44 + (stored.len() - 44) / 2;
        stored[middle] ^= 4;
        self.memory.put(&path, stored.into()).await.unwrap();
        true
    }

    fn is_shared(&self) -> bool {
        true
    }
}

fn piece() -> Vec<Bytes> {
    vec![Bytes::from(vec![7; 50_000])]
}

async fn stores_and_reads(journal: &ObjectJournal) {
    let staged = journal.stage(piece(), Urgency::Normal).unwrap();
    staged.ticket.await.unwrap();
    assert_eq!(journal.read(staged.extent).await.unwrap(), piece()[0]);
}

#[tokio::test(start_paused = true)]
async fn object_conforms() {
    conforms(&mut Bucket::default()).await;
    conforms(&mut Faulty {
        env: world(),
        delay_max: Duration::from_millis(30),
        place: Bucket::default(),
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_wrapper_s_faults_fire_around_a_bucket() {
    let journal = Arc::new(Bucket::default().journal(settings()).await);
    let seeded = Env::simulated(5, Arc::new(FaultFs::new(5)));
    each_fault_fires_and_is_counted(seeded.clone(), journal.clone()).await;
    a_crash_of_the_wrapper_takes_what_was_open(seeded, journal).await;
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_answer_was_lost_is_found_to_be_ours() {
    let bucket = Bucket::default();
    let journal = bucket.journal(settings()).await;
    for put in [Put::LosesAnswer, Put::Hangs, Put::Conflicts, Put::Fails] {
        bucket.next_puts(put, 1);
        stores_and_reads(&journal).await;
        assert!(!take(&bucket.times), "{put:?} did not happen");
    }
    assert_eq!(bucket.named("segment").await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_another_wrote_under_our_name_is_left_alone_and_fences_us() {
    let bucket = Bucket::default();
    let journal = bucket.journal(settings()).await;
    let name = Path::from("cell/segment/v1/000001/0000000000");
    let theirs = Bytes::from_static(b"another's");
    bucket
        .memory
        .put(&name, theirs.clone().into())
        .await
        .unwrap();
    let staged = journal.stage(piece(), Urgency::Normal).unwrap();
    let outcome = staged.ticket.await;
    assert!(matches!(outcome, Err(PortError::Fenced(_))), "{outcome:?}");
    let read = journal.read(staged.extent).await;
    assert!(matches!(read, Err(PortError::Corrupt(_))), "{read:?}");
    let stored = bucket.memory.get(&name).await.unwrap().bytes().await;
    assert_eq!(stored.unwrap(), theirs);
    // The next one has its own name.
    stores_and_reads(&journal).await;
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_does_not_answer_leaves_it_open_and_one_that_refuses_does_not() {
    let bucket = Bucket::default();
    let journal = bucket.journal(settings()).await;
    for put in [Put::Fails, Put::LosesAnswer, Put::Hangs] {
        bucket.next_puts(put, u32::MAX);
        bucket.reads_fail.store(u32::MAX, Ordering::SeqCst);
        let staged = journal.stage(piece(), Urgency::Normal).unwrap();
        let outcome = staged.ticket.await;
        let unsure = matches!(outcome, Err(PortError::Indeterminate(_)));
        assert!(unsure, "{put:?}: {outcome:?}");
        let read = journal.read(staged.extent).await;
        assert!(matches!(read, Err(PortError::Rejected(_))), "{read:?}");
    }
    bucket.reads_fail.store(0, Ordering::SeqCst);
    bucket.next_puts(Put::Forbidden, 1);
    let staged = journal.stage(piece(), Urgency::Normal).unwrap();
    let outcome = staged.ticket.await;
    assert!(
        matches!(outcome, Err(PortError::Rejected(_))),
        "{outcome:?}"
    );
    stores_and_reads(&journal).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_failed_on_the_way_is_tried_again() {
    let bucket = Bucket::default();
    let journal = bucket.journal(settings()).await;
    let staged = journal.stage(piece(), Urgency::Normal).unwrap();
    staged.ticket.await.unwrap();
    bucket.reads_fail.store(3, Ordering::SeqCst);
    assert_eq!(journal.read(staged.extent).await.unwrap(), piece()[0]);
    assert!(!take(&bucket.reads_fail));
}

#[tokio::test(start_paused = true)]
async fn staged_bytes_are_bounded_and_the_reserve_is_for_the_urgent() {
    let bucket = Bucket::default();
    let settings = ObjectSettings {
        staged_bytes_max: 150_000,
        reserve_bytes: 50_000,
        ..settings()
    };
    let journal = bucket.journal(settings).await;
    let stage = |urgency| journal.stage(piece(), urgency);
    let mut tickets: Vec<_> = (0..3)
        .map(|_| stage(Urgency::Normal).unwrap().ticket)
        .collect();
    let refused = stage(Urgency::Normal).err();
    assert!(
        matches!(refused, Some(PortError::Rejected(_))),
        "{refused:?}"
    );
    tickets.push(stage(Urgency::Reserve).unwrap().ticket);
    assert!(stage(Urgency::Reserve).is_err());
    for ticket in tickets {
        ticket.await.unwrap();
    }
    stores_and_reads(&journal).await;
}

#[tokio::test(start_paused = true)]
async fn each_journal_that_opens_has_an_epoch_of_its_own() {
    let bucket = Bucket::default();
    for put in [Put::Answers, Put::LosesAnswer, Put::Conflicts, Put::Hangs] {
        bucket.next_puts(put, 1);
        let open = || bucket.journal(settings());
        let (a, b) = tokio::join!(open(), open());
        let staged = [&a, &b].map(|journal| journal.stage(piece(), Urgency::Normal).unwrap());
        let [a, b] = staged.map(|staged| staged.extent.segment);
        assert_ne!(a.0 >> 40, b.0 >> 40, "{put:?}");
    }
    assert_eq!(bucket.named("writer").await.len(), 8);
}
