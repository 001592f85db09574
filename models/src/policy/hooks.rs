//! The user's own functions that are asked in the middle of a run.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::function::FunctionArn;
use crate::hook::HookStep;

/// Which Lambda function is asked at which step, and what follows where it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before anything is begun in the cluster.
    pub before_run: Option<FunctionArn>,
    /// Before an instance is claimed and drained.
    pub before_drain: Option<FunctionArn>,
    /// Once an instance is drained, before its reboot.
    pub before_reboot: Option<FunctionArn>,
    /// Once an instance is healthy on its new version, before it is set ACTIVE.
    pub before_active: Option<FunctionArn>,
    /// Once the update of an instance has ended.
    pub after_instance: Option<FunctionArn>,
    /// At the end of a run that has updated something, or tried to.
    pub after_run: Option<FunctionArn>,
    /// How long all askings of one step may take together.
    pub timeout: SignedDuration,
    /// What an error of a function means.
    pub on_error: OnHookError,
}

impl Hooks {
    /// Returns the function of a step, where it has one.
    pub fn of(&self, step: HookStep) -> Option<&FunctionArn> {
        match step {
            HookStep::BeforeRun => self.before_run.as_ref(),
            HookStep::BeforeDrain => self.before_drain.as_ref(),
            HookStep::BeforeReboot => self.before_reboot.as_ref(),
            HookStep::BeforeActive => self.before_active.as_ref(),
            HookStep::AfterInstance => self.after_instance.as_ref(),
            HookStep::AfterRun => self.after_run.as_ref(),
        }
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            before_run: None,
            before_drain: None,
            before_reboot: None,
            before_active: None,
            after_instance: None,
            after_run: None,
            timeout: SignedDuration::from_mins(15),
            on_error: OnHookError::Hold,
        }
    }
}

/// What an error of a function means; the stricter comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnHookError {
    /// That the update does not go on.
    #[default]
    Hold,
    /// The same as `ok`.
    Continue,
}

words!(OnHookError { Hold = "hold", Continue = "continue" });
