//! `[providers.NAME]`: capacity providers, and the strategies of services that name them.

use jiff::SignedDuration;
use serde::Deserialize;

/// A capacity provider of an Auto Scaling group. A machine's `provider` may name one that has no table: it has no managed
/// scaling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSpec {
    /// Its cluster; may be missing where there is one only.
    pub cluster: Option<String>,
    /// The Auto Scaling group; that of its machines where it is missing.
    pub group: Option<String>,
    /// Managed scaling; DISABLED where it is missing.
    pub managed_scaling: Option<ScalingSpec>,
    /// Managed termination protection.
    pub termination_protection: bool,
}

/// Managed scaling.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScalingSpec {
    /// `targetCapacity`, in percent.
    pub target: u32,
    /// `minimumScalingStepSize`.
    pub minimum_step: u32,
    /// `maximumScalingStepSize`.
    pub maximum_step: u32,
    /// `instanceWarmupPeriod`.
    pub warm_up: SignedDuration,
}

impl Default for ScalingSpec {
    fn default() -> Self {
        Self { target: 100, minimum_step: 1, maximum_step: 10_000, warm_up: SignedDuration::from_mins(5) }
    }
}

/// An item of a capacity provider strategy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrategyItem {
    pub provider: String,
    /// So many tasks are for this provider first.
    #[serde(default)]
    pub base: u32,
    /// Its share of the others; with 0 it gets none of them.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}
