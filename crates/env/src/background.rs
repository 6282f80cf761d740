//! Threads for work that others go before: low in priority, few, and one queue for all of them.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// More at once gain nothing on a disk.
const THREADS_MAX: usize = 4;
/// How far below the others the threads are, in units of nice: beside threads that are busy all the
/// time one of them still gets a tenth of a core.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of one world. They start when there is work for them and stay as long as it does.
#[derive(Default)]
pub(crate) struct Background {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    come: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

impl Background {
    /// Runs `job` on one of the threads, after those that wait already. A job must not panic.
    pub fn run(&self, job: Job) {
        let mut waiting = self.queue.waiting.lock();
        waiting.jobs.push_back(job);
        if waiting.jobs.len() > waiting.idle && waiting.threads < THREADS_MAX {
            let queue = Arc::clone(&self.queue);
            let named = std::thread::Builder::new().name("levada-back".to_owned());
            match named.spawn(move || queue.work()) {
                Ok(_) => waiting.threads += 1,
                // The others do it later; with none there is nobody.
                Err(_) if waiting.threads > 0 => {}
                Err(_) => {
                    let job = waiting.jobs.pop_back();
                    drop(waiting);
                    if let Some(job) = job {
                        job();
                    }
                    return;
                }
            }
        }
        drop(waiting);
        self.queue.come.notify_one();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.queue.waiting.lock().is_over = true;
        self.queue.come.notify_all();
    }
}

impl Queue {
    fn work(&self) {
        // Nobody refuses to step back. On Linux it is a thread's own niceness.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(NICENESS);
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                drop(waiting);
                job();
                waiting = self.waiting.lock();
            } else if waiting.is_over {
                return;
            } else {
                waiting.idle += 1;
                self.come.wait(&mut waiting);
                waiting.idle -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Env;

    #[tokio::test]
    async fn work_in_the_background_answers_and_its_panics_go_on_in_the_caller() {
        let env = Env::real();
        let many = (0..20).map(|n| env.background(move || n * 2));
        let mut sum = 0;
        for answer in many {
            sum += answer.await;
        }
        assert_eq!(sum, 380);
        let caller = env.clone();
        let failed = env.spawn("fails", async move {
            caller.background(|| panic!("of the job")).await
        });
        assert!(failed.await.unwrap_err().is_panic());
        assert_eq!(env.background(|| 7).await, 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn others_go_before_it() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let env = Env::real();
        let here = niceness();
        let there = env.background(niceness).await;
        assert_eq!(there, (here + super::NICENESS).min(19));
        assert_eq!(niceness(), here);
    }
}
