//! Operations that answer EIO, when a test wants them to.

/// What may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Read,
    Write,
    Sync,
}

/// On which files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// The broker's log.
    Log,
    /// All others: snapshots, what is made ready ahead.
    Other,
}

#[derive(Debug)]
struct Plan {
    operation: Operation,
    files: Files,
    /// So many succeed before.
    passed: u64,
    /// So many fail then.
    failed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Errors {
    plan: Option<Plan>,
    fired: u64,
}

impl Errors {
    pub fn arm(&mut self, operation: Operation, files: Files, number: u64, count: u64) {
        self.fired = 0;
        self.plan = Some(Plan {
            operation,
            files,
            passed: number.saturating_sub(1),
            failed: count,
        });
    }

    pub fn disarm(&mut self) -> u64 {
        self.plan = None;
        std::mem::take(&mut self.fired)
    }

    pub fn is_armed(&self) -> bool {
        self.plan.is_some()
    }

    /// Whether this operation fails; it counts as one.
    pub fn strikes(&mut self, operation: Operation, is_log: bool) -> bool {
        let Some(plan) = &mut self.plan else {
            return false;
        };
        if operation != plan.operation || is_log != (plan.files == Files::Log) || plan.failed == 0 {
            return false;
        }
        if plan.passed > 0 {
            plan.passed -= 1;
            return false;
        }
        plan.failed -= 1;
        self.fired += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_operations_fail_and_no_others() {
        let mut errors = Errors::default();
        assert!(!errors.strikes(Operation::Sync, true));
        errors.arm(Operation::Sync, Files::Log, 2, 1);
        assert!(!errors.strikes(Operation::Sync, true));
        assert!(!errors.strikes(Operation::Sync, false));
        assert!(!errors.strikes(Operation::Write, true));
        assert!(errors.strikes(Operation::Sync, true));
        assert!(!errors.strikes(Operation::Sync, true));
        assert_eq!(errors.disarm(), 1);
        assert!(!errors.is_armed());
    }
}
