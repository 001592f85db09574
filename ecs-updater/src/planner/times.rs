//! Times and numbers of tries that nobody needs to set, each with its reason.

use jiff::SignedDuration;
pub(crate) use models::fleet::EVENTUAL_CONSISTENCY;

/// How soon a draining instance is looked at again: at the next 5 s tick; 4 s, because a full 5 s would land just after
/// the tick. One call tells of a hundred, and what is noticed late is time out of service.
pub(crate) const DRAIN_POLL: SignedDuration = SignedDuration::from_secs(4);
/// The same where a host bridge acts within a second of its claim and reports as fast: each tick of its finer grid of
/// 2.5 s. SSM answers to a poll of its own, which is no faster for being asked more often.
pub(crate) const BRIDGE_POLL: SignedDuration = SignedDuration::from_secs(2);
/// How soon tasks are asked about again that stop, which takes most of them a few seconds.
pub(crate) const STOP_POLL: SignedDuration = SignedDuration::from_secs(3);
/// How often a host is visited that is to come back, or to become healthy.
pub(crate) const BOOT_POLL: SignedDuration = SignedDuration::from_secs(15);
/// From the reboot command to the first visit: no host shuts down and boots in less.
pub(crate) const FIRST_BOOT_POLL: SignedDuration = SignedDuration::from_secs(30);
/// Between two tries to reach a host that does not answer.
pub(crate) const RETRY: SignedDuration = SignedDuration::from_secs(20);
/// How soon the loop looks again whether ECS shows a tag that it has written: at the next tick.
pub(crate) const SKIP_POLL: SignedDuration = SignedDuration::from_secs(2);
/// How long a look at tasks is good for admission.
pub(crate) const TASKS_FRESH: SignedDuration = SignedDuration::from_secs(60);
/// How long `agentConnected` may still be true for an agent that is gone ("a few minutes").
pub(crate) const AGENT_FLAG_LAG: SignedDuration = SignedDuration::from_mins(5);
/// How long a reboot that was called off may still come: the host bridge reads its claim every 5 s and says that it is
/// off, or waits for a reboot that it has asked for (7 min, 5 of them for a shutdown).
pub(crate) const CALL_OFF: SignedDuration = SignedDuration::from_mins(8);
/// How long after it was sent a command by SSM may make its host begin a reboot: a minute until it is delivered, two
/// for what it does before it asks (`host::ssm`), and a shutdown may take 5 more to begin.
pub(crate) const REBOOT_MAY_COME: SignedDuration = SignedDuration::from_mins(8);
/// How much longer than its time-out says a host is waited for whose trouble hosts without its new version have too.
pub(crate) const SHARED_TROUBLE: SignedDuration = SignedDuration::from_hours(1);
/// How long it is good for that comparison what was seen of such a host.
pub(crate) const PEERS_FRESH: SignedDuration = SignedDuration::from_secs(60);

/// Clocks of runs differ by less: a tag that is dated further ahead is not believed.
pub(crate) const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// Between two questions to SSM what runs on a host that is reached by its bridge.
pub(crate) const CONFIRM_POLL: SignedDuration = SignedDuration::from_secs(30);
/// How long an agent may take for its first report once it may report: it waits up to ten minutes after a refused one.
pub(crate) const FIRST_REPORT: SignedDuration = SignedDuration::from_mins(11);

/// Of how many such hosts SSM and EC2 are asked, a call for each: more would not tell more.
pub(crate) const MAX_PEERS_ASKED: usize = 50;
/// How often one image is written to one host in a run before the instance counts as failed.
pub(crate) const MAX_STAGES: u32 = 2;
/// How often an activation is undone on one host in a run, where the command is lost on its way.
pub(crate) const MAX_UNDOS: u32 = 5;
/// How many boots of one host are claimed for a reboot in a run: one that reboots by itself again and again is given
/// up.
pub(crate) const MAX_REBOOT_CLAIMS: u32 = 3;
/// How often a lock is put back on one host in a run before that counts as impossible.
pub(crate) const MAX_CANCELS: u32 = 2;
