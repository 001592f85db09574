//! Runs the updater on a scenario as its `[expect]` says: one run after the other, or processes side by side.

use models::report::RunReport;

use crate::expect::Expect;
use crate::limit::Limit;
use crate::rollout::{Ran, Rollout};

/// What came of everything that the updater was run for.
#[derive(Debug)]
pub struct Trial {
    /// One after the other, or side by side.
    pub kind: Kind,
    /// Each of them. A run that did not end is the last one.
    pub ran: Vec<Ran>,
}

/// How several runs stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One after the other.
    Runs,
    /// Side by side.
    Processes,
}

impl Kind {
    /// One of them.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "run",
            Self::Processes => "process",
        }
    }
}

impl Trial {
    /// Runs everything. A run that reaches the limit is given up, and no further one begins.
    pub async fn of(rollout: &mut Rollout, expect: &Expect, limit: Limit) -> Self {
        if !expect.process.is_empty() {
            let ran = rollout.side_by_side_within(limit, &expect.process).await;
            return Self { kind: Kind::Processes, ran };
        }
        let mut ran: Vec<Ran> = Vec::new();
        for spec in expect.runs() {
            if ran.last().is_some_and(|last| last.endless.is_some()) {
                break;
            }
            rollout.wait_for(&spec).await;
            ran.push(rollout.run_within(limit, &spec, &()).await);
        }
        Self { kind: Kind::Runs, ran }
    }

    /// The last report, and what came of that run: of processes, the one that ended last. `None` where the last run gave
    /// none.
    pub fn last(&self) -> Option<(&Ran, &RunReport)> {
        match self.kind {
            Kind::Runs => {
                let last = self.ran.last()?;
                Some((last, last.report.as_ref()?))
            }
            Kind::Processes => {
                let told = self.ran.iter().filter_map(|ran| Some((ran, ran.report.as_ref()?)));
                told.max_by_key(|(_, report)| report.ended_at)
            }
        }
    }
}
