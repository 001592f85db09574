//! What a run is for, and what is left of an instance's next step in one that begins nothing. What was begun is brought to
//! an end by the same rules as in any run.

use models::fleet::{Instance, InstanceStatus};
use models::ids::HostId;
use models::reason::HoldReason;
use semver::Version;

use super::need::Next;

/// What a run is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To end what was begun, and to update what is outdated.
    #[default]
    Update,
    /// To end what was begun, and to take the instances that run a release back to the version before.
    Rollback(WayBack),
    /// To end what was begun, and to begin nothing.
    Finish,
    /// To let go of this one instance, and to leave all others as they are.
    Release(HostId),
}

/// From which release instances go back, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WayBack {
    /// The release; `None` until a look has told which one was rolled out last.
    pub release: Option<Version>,
    /// Where those go that do not remember what they ran before.
    pub to: Option<Version>,
    /// Whether a person has asked to let nothing more go back, and to end what was begun.
    pub finishes: bool,
    /// Whether the release is not skipped yet, and is to be: until then nothing goes back, and nothing more goes to it.
    pub awaits_skip: bool,
}

impl Purpose {
    /// Whether instances are begun, with an update or on their way back.
    pub fn begins(&self) -> bool {
        match self {
            Self::Update => true,
            Self::Rollback(back) => !back.finishes,
            Self::Finish | Self::Release(_) => false,
        }
    }

    /// Returns the same, but for beginning nothing.
    #[must_use]
    pub fn to_finish(&self) -> Self {
        match self {
            Self::Update | Self::Finish => Self::Finish,
            Self::Rollback(back) => Self::Rollback(WayBack { finishes: true, awaits_skip: false, ..back.clone() }),
            Self::Release(host) => Self::Release(host.clone()),
        }
    }

    /// Whether what was begun is brought to an end, and nothing else.
    fn finishes(&self) -> bool {
        match self {
            Self::Finish => true,
            Self::Rollback(back) => back.finishes,
            Self::Update | Self::Release(_) => false,
        }
    }

    /// Returns from which release instances go back, where that is what the run is for.
    pub fn way_back(&self) -> Option<&WayBack> {
        match self {
            Self::Rollback(back) => Some(back),
            Self::Update | Self::Finish | Self::Release(_) => None,
        }
    }

    /// Notes whether the release that instances go back from is still to be skipped.
    pub(crate) fn await_skip(&mut self, awaits: bool) {
        match self {
            Self::Rollback(back) => back.awaits_skip = awaits,
            Self::Update | Self::Finish | Self::Release(_) => {}
        }
    }

    /// Returns the release that is to be skipped before instances go back from it, and is not yet.
    pub(crate) fn awaited_skip(&self) -> Option<&Version> {
        self.way_back().filter(|back| back.awaits_skip).and_then(|back| back.release.as_ref())
    }

    /// Whether such a run leaves the instance to others.
    pub(crate) fn leaves_out(&self, host: &HostId) -> bool {
        match self {
            Self::Update | Self::Rollback(_) | Self::Finish => false,
            Self::Release(released) => released != host,
        }
    }

    /// Returns why an instance that is out of service is put back in the boot that it is in, if so: a person lets it go.
    pub(crate) fn lets_go(&self, host: &HostId) -> Option<HoldReason> {
        match self {
            Self::Update | Self::Rollback(_) | Self::Finish => None,
            Self::Release(released) => (released == host).then_some(HoldReason::Released),
        }
    }

    /// Returns what is done of what an instance in service needs next. Where nothing was begun, no step is taken and nothing
    /// is waited for; a plain look is a beginning too.
    pub(crate) fn narrow<'a>(&self, next: Next<'a>, instance: &Instance) -> Next<'a> {
        if self.begins() {
            return next;
        }
        let why = match self {
            Self::Update | Self::Rollback(_) | Self::Finish => HoldReason::Finishing,
            Self::Release(_) => HoldReason::Released,
        };
        // A claim is taken away without a word of the host; a lock that was changed is put back by it.
        let goes_on = if self.finishes() { is_begun(instance) } else { instance.tags.saved_lock.is_some() };
        // Its claim may not be shown yet, so that it is not known yet whether it was begun.
        if matches!(next, Next::Wait(..)) && instance.status == InstanceStatus::Draining {
            return next;
        }
        match next {
            Next::Do(..) | Next::Wait(..) | Next::LookAtOthers(..) if goes_on => next,
            // Admission says why it is not begun.
            Next::Candidate(_) if self.finishes() => next,
            Next::Do(..) | Next::Wait(..) | Next::LookAtOthers(..) | Next::Candidate(_) => Next::Hold(why),
            Next::Ask(..) | Next::Standing(_) | Next::Hold(_) | Next::Current | Next::Settled => next,
        }
    }
}

/// Whether something was begun on an instance in service that has to come to an end.
fn is_begun(instance: &Instance) -> bool {
    instance.tags.claim.is_some() || instance.tags.saved_lock.is_some() || instance.run.drained_at.is_some()
}
