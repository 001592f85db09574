//! What each command does.

use jiff::Timestamp;
use models::host::{AgentState, CommandStatus, HostReport, UpdateState};
use semver::Version;
use tokio::time::{Duration, Instant, timeout_at};

use super::args::{Collect, Command, Reboot, Rollback, Stage};
use super::ending::{CommandError, Done};
use crate::client::{Client, ClientError, RebootAnswer, excerpt};
use crate::collect::{Sources, gather, write};
use crate::inspect::{Boot, Seen, inspect};
use crate::introspection::{Introspection, Task};
use crate::signpost::{SignpostError, inactive_is_next, rollback_to_inactive};
use crate::transport::TransportError;
use crate::update::{LATEST, LockAfter, StageRequest, Switched, Visit, chain};

/// What the commands work with.
pub(super) struct Tools {
    pub(super) client: Client,
    pub(super) agent: Introspection,
    pub(super) boot: Boot,
    pub(super) host_root: std::path::PathBuf,
    /// When the command is to have ended.
    pub(super) deadline: Instant,
}

/// How long the last look at a host may last whose command has used its time up.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// `signpost` reads one partition table for its status.
const SIGNPOST_STATUS: Duration = Duration::from_secs(5);
/// And rewrites it.
const SIGNPOST: Duration = Duration::from_secs(60);

impl Tools {
    /// One look, until the deadline, or for a moment where that has passed.
    pub(super) async fn look(&self) -> Result<Seen, CommandError> {
        let begun = Instant::now();
        let until = self.deadline.max(begun + LAST_LOOK);
        let looked = timeout_at(until, inspect(&self.client, Some(&self.agent), &self.boot, "inspect")).await;
        let too_long = |_| ClientError::Transport {
            request: "GET /os".to_owned(),
            source: TransportError::TooLong { limit: until - begun },
        };
        let seen = looked.map_err(too_long).flatten().map_err(CommandError::Look)?;
        let limit = SIGNPOST_STATUS.min(until.saturating_duration_since(Instant::now()));
        let other_set_next = match inactive_is_next(&self.host_root, limit).await {
            Ok(is_next) => Some(is_next),
            // Only the host's root can be asked; the update status knows what the update commands did.
            Err(SignpostError::NoRights { .. }) => seen.other_set_next,
            Err(error) => {
                tracing::debug!("{}", chain(&error));
                seen.other_set_next
            }
        };
        Ok(Seen { other_set_next, ..seen })
    }
}

/// Runs a command; `seen` is left with the last look at the host, for the report.
pub(super) async fn run(
    command: &Command,
    tools: &Tools,
    visit: &mut Visit,
    seen: &mut Option<Seen>,
) -> Result<Done, CommandError> {
    match command {
        Command::Status => {
            let now = tools.look().await?;
            let next = next_step(&now);
            let done = Done { message: standing(&now), next };
            *seen = Some(now);
            Ok(done)
        }
        Command::Check => {
            visit.refresh().await?;
            finish(tools, seen, |now| found(&now.report)).await
        }
        Command::Stage(stage) => run_stage(stage, tools, visit, seen).await,
        Command::Activate => {
            let switched = visit.activate(None).await?;
            finish(tools, seen, |now| {
                let staged = staged(&now.report);
                match switched {
                    Switched::Now => format!("activated: the next boot takes {staged}"),
                    Switched::Already => format!("nothing to do: the next boot takes {staged} already"),
                }
            })
            .await
        }
        Command::Cancel => {
            let switched = visit.cancel().await?;
            let done = finish(tools, seen, |now| {
                let running = running(&now.report);
                match switched {
                    Switched::Now => format!("cancelled: the next boot takes {running} again"),
                    Switched::Already => format!("nothing to do: the next boot takes {running} anyway"),
                }
            })
            .await?;
            match seen.as_ref().filter(|now| goes_to_the_other_set(now, now.report.state())) {
                Some(now) => Err(CommandError::OtherSetNext { running: running(&now.report) }),
                None => Ok(done),
            }
        }
        Command::Reboot(reboot) => run_reboot(reboot, tools, seen).await,
        Command::Rollback(rollback) => run_rollback(rollback, tools, visit, seen).await,
        Command::Collect(collect) => run_collect(collect, tools).await,
    }
}

async fn run_collect(collect: &Collect, tools: &Tools) -> Result<Done, CommandError> {
    let at = Timestamp::now();
    let to = collect.to.clone().unwrap_or_else(|| format!("host-bridge-{}.tar", at.strftime("%Y%m%dT%H%M%SZ")).into());
    let sources = Sources {
        client: &tools.client,
        agent: &tools.agent,
        boot: &tools.boot,
        host_root: &tools.host_root,
        journal: &collect.journal,
    };
    let parts = timeout_at(tools.deadline, gather(&sources)).await.map_err(|_| CommandError::CollectTooLong)?;
    write(&parts, &tools.boot, at, &to)?;
    let missing: Vec<&str> = parts.iter().filter(|part| part.content.is_err()).map(|part| part.name).collect();
    let held = parts.len() - missing.len();
    let without = if missing.is_empty() { String::new() } else { format!("; without {}", missing.join(", ")) };
    Ok(Done {
        message: format!("{} holds {held} of {} parts{without}", to.display(), parts.len()),
        next:
            "its about.json says why a part is missing; read what you send, since log lines are as the host wrote them"
                .to_owned(),
    })
}

async fn run_stage(
    stage: &Stage,
    tools: &Tools,
    visit: &mut Visit,
    seen: &mut Option<Seen>,
) -> Result<Done, CommandError> {
    let request = StageRequest {
        version: stage.version.clone(),
        allow_downgrade: stage.allow_downgrade,
        lock: LockAfter::AsFound,
        written_before: false,
    };
    let staged = visit.stage(&request).await?;
    let version = &staged.version;
    finish(tools, seen, |_| {
        if staged.written {
            format!("staged: {version} is on the inactive partition set; what was there before is gone")
        } else {
            format!("nothing to do: {version} is on the inactive partition set already")
        }
    })
    .await
}

async fn run_reboot(reboot: &Reboot, tools: &Tools, seen: &mut Option<Seen>) -> Result<Done, CommandError> {
    // Looked at before: afterwards the host is going down.
    let before = tools.look().await?;
    let (boots, busy, blocked) = (boots_into(&before), before.busy, before.blocked);
    *seen = Some(before);
    if !reboot.force {
        if blocked {
            return Err(CommandError::ApiBlocked);
        }
        if busy {
            return Err(CommandError::UpdateRunning);
        }
        let tasks = tools.agent.tasks().await.map_err(CommandError::TasksUnknown)?;
        let running: Vec<_> = tasks.into_iter().filter(Task::runs).collect();
        if !running.is_empty() {
            return Err(CommandError::TasksRunning { running: running.len(), names: names(&running) });
        }
    }
    match tools.client.reboot().await {
        Ok(RebootAnswer::Accepted) => Ok(Done {
            message: format!("rebooting: {boots}"),
            next: "wait for the host (it may take 5 minutes to begin), then `host-bridge status` must show the version"
                .to_owned(),
        }),
        Ok(RebootAnswer::Refused(detail)) => Err(CommandError::RebootRefused { detail: excerpt(&detail) }),
        Err(error) => Err(CommandError::of_reboot(error)),
    }
}

async fn run_rollback(
    rollback: &Rollback,
    tools: &Tools,
    visit: &mut Visit,
    seen: &mut Option<Seen>,
) -> Result<Done, CommandError> {
    let Some(to) = &rollback.to else {
        let limit = SIGNPOST.min(tools.deadline.saturating_duration_since(Instant::now()));
        rollback_to_inactive(&tools.host_root, limit).await?;
        // The root of the host needs no API.
        *seen = tools.look().await.ok();
        return Ok(Done {
            message: "the other partition set is the next to boot".to_owned(),
            next: "`host-bridge reboot`; afterwards hold the bad version back: \
                   `apiclient set updates.version-lock=` with the version that then runs"
                .to_owned(),
        });
    };
    let staged = visit.roll_back(to, &LockAfter::Pinned).await?;
    let mut done = finish(tools, seen, |_| {
        format!("rolling back: the next boot takes {}, and `version-lock` keeps the host there", staged.version)
    })
    .await?;
    done.next.push_str("; to take updates again later: `apiclient set updates.version-lock=latest`");
    Ok(done)
}

/// Looks at the host once more, and says what was done and what to do next. The command itself has worked, so
/// a failing look is no failure.
async fn finish(
    tools: &Tools,
    seen: &mut Option<Seen>,
    message: impl FnOnce(&Seen) -> String,
) -> Result<Done, CommandError> {
    let now = tools.look().await.unwrap_or_default();
    let done = Done { message: message(&now), next: next_step(&now) };
    *seen = Some(now);
    Ok(done)
}

/// What a person does with a host that stands like this.
pub(super) fn next_step(seen: &Seen) -> String {
    let host = &seen.report;
    if seen.blocked {
        return "the host API is blocked, by a long request or a lack of CPU; look again".to_owned();
    }
    if seen.busy {
        return "an update command is running; look again when it has ended".to_owned();
    }
    if goes_to_the_other_set(seen, host.state()) {
        return "`host-bridge reboot` boots the other partition set".to_owned();
    }
    let Some(update) = &host.update else {
        return "`host-bridge check` asks the update repository; nobody has since this boot".to_owned();
    };
    match &update.state {
        UpdateState::Idle => match &update.last {
            Some(last) if last.status != CommandStatus::Success => {
                format!("the last {} did not work; `host-bridge check` tries again", last.r#type)
            }
            Some(_) => "nothing to do".to_owned(),
            None => "`host-bridge check` asks the update repository".to_owned(),
        },
        UpdateState::Available => match (host.chosen(), host.running()) {
            (Some(chosen), Some(running)) if chosen < running => to_the_older(host, &chosen, &running),
            _ => "`host-bridge stage` writes it to the inactive partition set; the host stays in service".to_owned(),
        },
        UpdateState::Staged => {
            format!("`host-bridge activate` makes {} the next to boot", staged(host))
        }
        UpdateState::Ready => {
            format!("`host-bridge reboot` boots {}; `host-bridge cancel` undoes the activation", staged(host))
        }
        UpdateState::Unknown(_) | UpdateState::Missing => {
            "this program does not know that state; see whether there is a newer host-bridge".to_owned()
        }
    }
}

/// Why a host has chosen an older version than it runs, and what to do about it.
fn to_the_older(host: &HostReport, chosen: &Version, running: &Version) -> String {
    match host.settings.as_ref().and_then(|settings| settings.version_lock.as_deref()) {
        Some(LATEST) => format!(
            "{running} was withdrawn: `host-bridge stage --allow-downgrade` goes back to {chosen}, \
             `apiclient set updates.version-lock={running}` stays"
        ),
        Some(lock) => format!(
            "`version-lock` is {lock}: `host-bridge stage --allow-downgrade` goes back to {chosen}, \
             `apiclient set updates.version-lock=latest` takes the newest again"
        ),
        None => format!(
            "the host has chosen the older {chosen}: `host-bridge stage --allow-downgrade` goes back to it; \
             to stay, do nothing"
        ),
    }
}

/// What a refresh found, in a sentence.
fn found(host: &HostReport) -> String {
    let running = running(host);
    if let Some(chosen) =
        host.update.as_ref().filter(|update| update.state != UpdateState::Idle).and_then(|_| host.chosen())
    {
        return format!("{chosen} is offered; {running} runs");
    }
    let lock = host.settings.as_ref().and_then(|settings| settings.version_lock.as_deref());
    match lock {
        Some(lock) if lock != LATEST => {
            format!("no update is offered to this host, which runs {running} and is pinned to {lock}")
        }
        _ => format!(
            "no update is offered to this host, which runs {running}: it is up to date, or its wave is not open yet"
        ),
    }
}

fn standing(seen: &Seen) -> String {
    let host = &seen.report;
    let running = running(host);
    match host.state() {
        state if goes_to_the_other_set(seen, state) => {
            format!("{running} runs, and the next boot takes the other partition set")
        }
        Some(UpdateState::Ready) => format!("{running} runs, and the next boot takes {}", staged(host)),
        Some(UpdateState::Staged) => format!("{running} runs, and {} is staged", staged(host)),
        _ => format!("{running} runs"),
    }
}

fn boots_into(seen: &Seen) -> String {
    let host = &seen.report;
    match host.state() {
        state if goes_to_the_other_set(seen, state) => "the host boots the other partition set".to_owned(),
        _ if seen.other_set_next == Some(false) => format!("the host boots {} again", running(host)),
        Some(UpdateState::Ready) => format!("the host boots {}", staged(host)),
        Some(UpdateState::Staged) => {
            format!("{} is staged but not activated, so the host boots {} again", staged(host), running(host))
        }
        _ => format!("the host boots {} again, unless the other set was made the next", running(host)),
    }
}

/// Whether something else than an activation made the other set the next to boot, as `rollback --inactive` does.
fn goes_to_the_other_set(seen: &Seen, state: Option<&UpdateState>) -> bool {
    seen.other_set_next == Some(true) && state != Some(&UpdateState::Ready)
}

fn running(host: &HostReport) -> String {
    host.running().as_ref().map_or_else(|| "an unknown version".to_owned(), Version::to_string)
}

fn staged(host: &HostReport) -> String {
    host.staged().as_ref().map_or_else(|| "the staged version".to_owned(), Version::to_string)
}

fn names(tasks: &[Task]) -> String {
    const MOST: usize = 5;
    let name = |task: &Task| match (&task.family, &task.arn) {
        (Some(family), _) => family.clone(),
        (None, Some(arn)) => arn.clone(),
        (None, None) => "a task without a name".to_owned(),
    };
    let mut names: Vec<String> = tasks.iter().take(MOST).map(name).collect();
    if tasks.len() > MOST {
        names.push(format!("{} more", tasks.len() - MOST));
    }
    names.join(", ")
}

/// The agent, for people.
pub(super) fn agent_line(host: &HostReport) -> String {
    let Some(agent) = &host.agent else { return "not asked".to_owned() };
    let tasks = match agent.tasks {
        Some(1) => ", 1 task".to_owned(),
        Some(tasks) => format!(", {tasks} tasks"),
        None => String::new(),
    };
    match &agent.state {
        AgentState::Registered => format!("registered{tasks}"),
        AgentState::Unregistered => format!("not registered{tasks}"),
        AgentState::Down => "none listens".to_owned(),
        AgentState::Unknown(_) | AgentState::Missing => format!("unreadable{tasks}"),
    }
}
