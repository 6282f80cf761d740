//! What a sample of the processor's time was spent on, told from its stack.

/// One thing that time goes to.
pub struct Cause {
    pub title: &'static str,
    pub about: &'static str,
    place: Place,
    marks: &'static [&'static str],
}

/// Where a mark is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In any kernel frame of the stack.
    Kernel,
    /// In the innermost frame, when that is not the kernel's.
    Program,
}

const fn kernel(title: &'static str, marks: &'static [&'static str], about: &'static str) -> Cause {
    Cause {
        title,
        about,
        place: Place::Kernel,
        marks,
    }
}

const fn program(
    title: &'static str,
    marks: &'static [&'static str],
    about: &'static str,
) -> Cause {
    Cause {
        title,
        about,
        place: Place::Program,
        marks,
    }
}

/// The first that fits counts, so the narrow ones come first: a page fault inside a receive is a page fault.
pub static CAUSES: &[Cause] = &[
    kernel(
        "page faults",
        &["exc_page_fault"],
        "memory of the process that is touched for the first time, or again after the allocator gave it back",
    ),
    kernel(
        "waking and waiting",
        &[
            "eventfd_write",
            "sys_futex",
            "sys_epoll",
            "sys_sched_yield",
            "sys_nanosleep",
        ],
        "threads that wake each other and wait for sockets. The floor does everything in one thread",
    ),
    kernel(
        "syncs",
        &["sys_fdatasync", "sys_fsync"],
        "what is in the page cache goes to the device, and the file system notes that the file is longer. The floor \
         overwrites files whose length and blocks stay as they are",
    ),
    kernel(
        "writes",
        &["pwrite64", "pwritev"],
        "the copy into the page cache and the pages for it; with direct writes the whole way to the device",
    ),
    kernel(
        "receiving",
        &["sys_recv", "tcp_recvmsg"],
        "the copy out of the socket",
    ),
    kernel(
        "sending",
        &["sys_send", "sys_writev", "tcp_sendmsg"],
        "the copy into the socket; on loopback the peer's side of TCP is done here too",
    ),
    kernel(
        "reads",
        &["pread64", "preadv"],
        "the copy out of the page cache",
    ),
    kernel("other kernel", &[""], "interrupts, scheduling, timers"),
    program(
        "checksums",
        &["crc"],
        "each batch's CRC-32C, and the log's own",
    ),
    program(
        "copies",
        &["memmove", "memcpy", "memset", "memcmp"],
        "inside the process",
    ),
    program("allocator", &["mi_", "malloc", "free"], "mimalloc"),
    program("runtime", &["tokio", "mio::"], "tasks and their queues"),
    program(
        "our code",
        &["levada"],
        "Levada's own functions, or the floor's",
    ),
    program(
        "other program",
        &[""],
        "the standard library and small functions of others that were not inlined",
    ),
];

/// One sample: frames from the innermost outwards, each with whether it is the kernel's.
#[derive(Debug, Default)]
pub struct Stack {
    frames: Vec<(String, bool)>,
}

impl Stack {
    /// The index in [`CAUSES`]; None for a sample without frames.
    pub fn cause(&self) -> Option<usize> {
        let (innermost, is_kernel) = self.frames.first()?;
        let place = match is_kernel {
            true => Place::Kernel,
            false => Place::Program,
        };
        let has = |mark: &str| match place {
            Place::Kernel => {
                let mut kernel = self.frames.iter().filter(|(_, is_kernel)| *is_kernel);
                kernel.any(|(symbol, _)| symbol.contains(mark))
            }
            Place::Program => innermost.contains(mark),
        };
        CAUSES
            .iter()
            .position(|cause| cause.place == place && cause.marks.iter().any(|mark| has(mark)))
    }
}

/// Reads what `perf script -F comm,ip,sym,dso` prints: a line that names the thread, a line for each frame, an
/// empty line.
pub fn stacks(text: &str) -> Vec<Stack> {
    let mut found = Vec::new();
    let mut stack = Stack::default();
    for line in text.lines() {
        if line.is_empty() {
            found.push(std::mem::take(&mut stack));
        } else if line.starts_with(char::is_whitespace) {
            let frame = line.trim_start();
            let symbol = frame.split_once(' ').map_or("", |(_, symbol)| symbol);
            let is_kernel = symbol.ends_with("([kernel.kallsyms])");
            let symbol = symbol.rsplit_once(" (").map_or(symbol, |(name, _)| name);
            stack.frames.push((symbol.to_owned(), is_kernel));
        }
    }
    found.push(stack);
    found.retain(|stack| !stack.frames.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "levada 
\tffffffff815ea070 do_anonymous_page ([kernel.kallsyms])
\tffffffff821f30dd exc_page_fault ([kernel.kallsyms])
\tffffffff820113ae tcp_recvmsg ([kernel.kallsyms])
\t          10a974 __libc_recv (/usr/lib/libc.so.6)

levada-wal 
\tffffffff81aecbcd bvec_try_merge_page ([kernel.kallsyms])
\tffffffff81aecbcd __x64_sys_fdatasync ([kernel.kallsyms])

levada 
\t          10a974 <levada_engine::append::Append<T (x)> as tokio::Poll>::crc (/a folder (1)/levada)
\tffffffff81aecbcd do_syscall_64 ([kernel.kallsyms])
";

    #[test]
    fn a_sample_counts_for_the_first_cause_that_its_stack_names() {
        let titles: Vec<_> = stacks(PRINTED)
            .iter()
            .map(|stack| stack.cause().map(|at| CAUSES[at].title))
            .collect();
        assert_eq!(
            titles,
            [Some("page faults"), Some("syncs"), Some("checksums")]
        );
    }

    #[test]
    fn every_sample_has_a_cause() {
        for place in [Place::Kernel, Place::Program] {
            let last = CAUSES.iter().rfind(|cause| cause.place == place);
            assert_eq!(last.map(|cause| cause.marks), Some(&[""][..]));
        }
        assert!(stacks("swapper \n\n").is_empty());
    }
}
