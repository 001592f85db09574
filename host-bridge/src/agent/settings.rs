//! The times of an agent.

use std::time::Duration;

use jiff::SignedDuration;

use super::act::Limits;

/// How often an agent looks and reports, and how long it waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What decisions rest on.
    pub limits: Limits,
    /// Between two readings of the tags. The metadata service is link-local and answers from memory, so that this costs
    /// nobody anything; 5 s is as long as a claim that takes nothing out of service may lie about.
    pub poll: Duration,
    /// The same while a claim stands that takes the instance out of service: each second until the next one is read is
    /// a second without its tasks.
    pub poll_out_of_service: Duration,
    /// Between two looks at the host while it is being updated.
    pub look_busy: Duration,
    /// The same in the boot that a claim asked for, until the ECS agent is registered: all that the updater waits for.
    pub look_booted: Duration,
    /// Between two looks at the host otherwise: what changes by itself is the ECS agent's state, which the updater asks
    /// ECS for anyhow.
    pub look_idle: Duration,
    /// A report is sent this often although nothing changed, so that a live agent can be told from a dead one.
    ///
    /// `PutAttributes` shares its bucket with `RunTask`, `StopTask` and `UpdateContainerInstancesState`: 40 calls a
    /// second for the whole account and Region. 10,000 instances at 3 h are 10,000 / 10,800 s = 0.93 calls a second,
    /// 2.3 % of it; at 15 min they would be 28 %. What the updater loses by it is little: an agent that died within
    /// the last heartbeat shows when its first claim, which takes nothing out of service, is not taken up within
    /// seconds. The changes themselves come in a burst when many hosts are asked to stage (the updater asks no
    /// more than 40 of a cluster within 5 s), and when a release opens a wave to many hosts at once: the hourly readings
    /// of the repository spread that over an hour, 2.8 calls a second.
    pub heartbeat: Duration,
    /// How long after its claim has gone the agent holds back what it then says. At the end of a wave many hosts would say
    /// it at once, in the seconds in which the next wave's reports and ACTIVE need the same bucket.
    pub idle_report_delay: Duration,
    /// For one command on the host that writes an image.
    pub stage: Duration,
    /// For one command on the host that does not.
    pub short: Duration,
    /// By how much the waits after failures are spread, between 0 and 1; 0 makes a simulation repeatable.
    pub jitter: f64,
}

impl Settings {
    /// Spreads what is done at intervals, by up to a tenth and by a minute after a boot, and the reports after a claim
    /// over 30 s, so that the hosts of a fleet that boots at once do not ask at once ever after. The
    /// same seed gives the same times.
    #[must_use]
    pub fn spread(self, seed: u64) -> Self {
        let tenths = |all: Duration, part: u64| all.mul_f64(0.9 + 0.2 * f64::from((seed >> part) as u16) / 65_536.0);
        let refresh = Duration::try_from(self.limits.refresh).map(|all| tenths(all, 16)).unwrap_or_default();
        let limits = Limits {
            refresh: SignedDuration::try_from(refresh).unwrap_or(self.limits.refresh),
            first_refresh: SignedDuration::from_secs((seed % 60).cast_signed()),
            ..self.limits
        };
        let idle_report_delay = Duration::from_millis((seed >> 8) % 30_000);
        Self { limits, heartbeat: tenths(self.heartbeat, 32), idle_report_delay, ..self }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            poll: Duration::from_secs(5),
            poll_out_of_service: Duration::from_secs(1),
            look_busy: Duration::from_secs(10),
            look_booted: Duration::from_secs(1),
            look_idle: Duration::from_mins(1),
            heartbeat: Duration::from_hours(3),
            idle_report_delay: Duration::ZERO,
            stage: Duration::from_mins(20),
            short: Duration::from_mins(5),
            jitter: 0.5,
        }
    }
}
