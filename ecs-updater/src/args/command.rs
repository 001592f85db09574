//! What each command asks for, in the words of the rooms that do it.

use std::path::Path;

use models::selection::Named;

use super::{Command, PlanArgs, RollbackArgs};
use crate::config::Given;
use crate::planner::{Purpose, WayBack};
use crate::steer::Order;

impl Command {
    /// Returns whether nothing is to be changed.
    pub fn dry_run(&self) -> bool {
        match self {
            Self::Run(run) => run.dry_run,
            Self::Rollback(rollback) => rollback.dry_run,
            Self::Plan(_)
            | Self::Doctor(_)
            | Self::Status(_)
            | Self::Report(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_) => true,
            Self::Finish(_)
            | Self::Unskip(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Release(_)
            | Self::Exclude(_)
            | Self::Include(_)
            | Self::ForgetFailed(_) => false,
        }
    }

    /// Returns whether updates are begun outside of the windows too.
    pub fn outside_window(&self) -> bool {
        match self {
            Self::Run(run) => run.outside_window,
            Self::Rollback(rollback) => rollback.outside_window,
            Self::Plan(_)
            | Self::Doctor(_)
            | Self::Status(_)
            | Self::Report(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Finish(_)
            | Self::Unskip(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Release(_)
            | Self::Exclude(_)
            | Self::Include(_)
            | Self::ForgetFailed(_) => false,
        }
    }

    /// Returns what the run is for, where the command is one.
    pub fn purpose(&self) -> Purpose {
        match self {
            Self::Finish(_) => Purpose::Finish,
            Self::Rollback(RollbackArgs { release, to, .. }) => {
                Purpose::Rollback(WayBack { release: release.clone(), to: to.clone(), ..WayBack::default() })
            }
            Self::Run(_)
            | Self::Plan(_)
            | Self::Doctor(_)
            | Self::Status(_)
            | Self::Report(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Unskip(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Release(_)
            | Self::Exclude(_)
            | Self::Include(_)
            | Self::ForgetFailed(_) => Purpose::Update,
        }
    }

    /// Returns what a person asks for by a command that is no run; `None` for a run.
    pub fn order(&self) -> Option<Order> {
        match self {
            Self::Run(_)
            | Self::Plan(_)
            | Self::Doctor(_)
            | Self::Status(_)
            | Self::Report(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Finish(_)
            | Self::Rollback(_) => None,
            Self::Unskip(unskip) => Some(Order::Unskip { version: unskip.version.clone() }),
            Self::Pause(pause) => Some(Order::Pause { reason: pause.reason.clone() }),
            Self::Resume(_) => Some(Order::Resume),
            Self::Release(release) => Some(Order::Release { host: release.instance.clone() }),
            Self::Exclude(exclude) => {
                Some(Order::Exclude { hosts: exclude.instances.clone(), note: exclude.note.clone() })
            }
            Self::Include(include) => Some(Order::Include { hosts: include.instances.clone() }),
            Self::ForgetFailed(forget) => {
                Some(Order::ForgetFailed { version: forget.version.clone(), hosts: forget.instances.clone() })
            }
        }
    }

    /// Returns what the command takes in common with `plan`, where it is a run or a plan of one.
    fn plan(&self) -> Option<&PlanArgs> {
        match self {
            Self::Run(run) => Some(&run.plan),
            Self::Plan(plan) => Some(plan),
            Self::Rollback(rollback) => Some(&rollback.plan),
            Self::Doctor(_)
            | Self::Status(_)
            | Self::Report(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Finish(_)
            | Self::Unskip(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Release(_)
            | Self::Exclude(_)
            | Self::Include(_)
            | Self::ForgetFailed(_) => None,
        }
    }

    /// Returns the file for the page, where one is to be written.
    pub fn page(&self) -> Option<&Path> {
        let of_report = if let Self::Report(report) = self { Some(&report.page) } else { None };
        of_report.or(self.plan().map(|plan| &plan.page))?.html.as_deref()
    }

    /// Returns the instances that are named.
    pub fn named(&self) -> Named {
        self.plan().map(|plan| plan.selection.named()).unwrap_or_default()
    }

    /// Returns whether a run that updates nothing, although nobody asked for that, is to fail.
    pub fn fail_on_held(&self) -> bool {
        matches!(self, Self::Run(run) if run.fail_on_held)
    }

    /// Returns whether a person has said yes beforehand.
    pub fn says_yes(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Plan(_)
            | Self::Doctor(_)
            | Self::Status(_)
            | Self::Report(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Finish(_)
            | Self::Rollback(_)
            | Self::Unskip(_)
            | Self::Pause(_)
            | Self::Resume(_) => true,
            Self::Release(release) => release.yes,
            Self::Exclude(exclude) => exclude.yes,
            Self::Include(include) => include.yes,
            Self::ForgetFailed(forget) => forget.yes,
        }
    }

    /// Returns which clusters it is about, and by which settings.
    pub fn given(&self) -> Given {
        match self {
            Self::Run(run) => run.plan.settings.given(),
            Self::Plan(plan) => plan.settings.given(),
            Self::Doctor(settings) => settings.given(),
            Self::Status(status) => status.settings.given(),
            Self::Report(_) | Self::Completions(_) | Self::Man(_) => Given::default(),
            Self::Config(config) => config.given(),
            Self::Finish(settings) => settings.given(),
            Self::Rollback(rollback) => rollback.plan.settings.given(),
            Self::Unskip(unskip) => unskip.clusters.given(),
            Self::Release(release) => release.settings.given(),
            Self::Pause(pause) => pause.clusters.given(),
            Self::Resume(clusters) => clusters.given(),
            Self::Exclude(exclude) => exclude.clusters.given(),
            Self::Include(include) => include.clusters.given(),
            Self::ForgetFailed(forget) => forget.clusters.given(),
        }
    }
}
