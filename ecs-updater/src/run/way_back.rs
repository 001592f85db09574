//! The way back from a release: which one that is, and that it is skipped in the cluster before the first instance goes
//! back.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::cluster_tags::{SKIP_TAG, skipped, with_skipped};
use models::fleet::RunMemory;
use models::ids::HostId;
use models::policy::{OnAlarm, Target};
use models::reason::HoldReason;
use models::report::{ClusterError, ClusterErrorKind, Outcome, TakenBack};
use models::time::after;
use semver::Version;

use super::cluster::Cluster;
use crate::aws::{AwsError, ErrorKind};
use crate::events::{self, Event, Reason, What};
use crate::planner::{self, Asked, Bad, Purpose, Stop, WayBack};

/// So long the skip may take to be written and to show.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// How far a skip has come.
enum Written {
    /// It is in the tag, by ECS's own word.
    Stands,
    /// Not yet, or that is not known.
    NotYet(Option<AwsError>),
}

impl Cluster<'_> {
    /// Has the release skipped that instances go back from, and lets the plan wait for that. Where it cannot be written nothing
    /// goes back, and what was begun is brought to an end all the same.
    pub(super) async fn prepare_way_back(&mut self) {
        let Some(back) = self.facts.purpose.way_back().filter(|back| !back.finishes).cloned() else { return };
        match self.have_skipped(&back).await {
            Ok(is_ready) => self.facts.purpose.await_skip(!is_ready),
            Err(error) => {
                tracing::error!(cluster = %self.name, error = error.message, "nothing goes back");
                self.skip.refused = Some(error);
                self.facts.purpose =
                    if self.skip.bad.is_some() { Purpose::Update } else { self.facts.purpose.to_finish() };
            }
        }
    }

    /// Says at the beginning that no alarm has instances go back from a release that a person has named.
    pub(super) fn tell_of_named_release(&self) {
        let is_told_to = self.policy.on_alarm == OnAlarm::RollBack && !self.policy.alarms.is_empty();
        if is_told_to
            && self.policy.target_is_named
            && self.facts.purpose == Purpose::Update
            && let Target::Version(release) = &self.policy.target
        {
            tracing::warn!(
                cluster = %self.name,
                "on_alarm = \"roll-back\" takes nothing back from {release}, since --target names it: an alarm only \
                 stops further updates"
            );
        }
    }

    /// Lets instances go back by themselves where an alarm says so.
    pub(super) fn heed_alarms(&mut self) {
        if self.facts.purpose != Purpose::Update || self.facts.dry_run || self.skip.refused.is_some() {
            return;
        }
        let now = self.clock.now();
        let Some(bad) = planner::fired_in_bake(&self.fleet, self.policy, now) else { return };
        if self.policy.target_is_named && self.policy.target == Target::Version(bad.release.clone()) {
            // A skip does not hold for what a person has named on the command line, so that nothing would go back.
            self.skip.named = Some(bad);
            return;
        }
        let why = Reason { code: HoldReason::ALARM_FIRING.to_owned(), sentence: because(&bad) };
        let what = What::TakesBack { release: bad.release.clone(), why };
        let event = Event { at: now, run: self.facts.run.clone(), cluster: self.name.clone(), what };
        events::log(&event, self.facts.dry_run);
        self.post.take(&[event]);
        self.post.go_on(&self.aws, now);
        self.facts.purpose = Purpose::Rollback(WayBack { release: Some(bad.release.clone()), ..WayBack::default() });
        self.skip.bad = Some(bad);
    }

    /// Returns the release that the run goes back from by itself, where nothing refuses it to.
    pub(super) fn taken_back(&self) -> Option<TakenBack> {
        let Bad { release, alarm, .. } = self.skip.bad.as_ref().filter(|_| self.skip.refused.is_none())?;
        Some(TakenBack { release: release.clone(), alarm: alarm.clone() })
    }

    /// Whether the skip stands.
    ///
    /// # Errors
    /// Which release it is, is not known; or the skip could not be written.
    async fn have_skipped(&mut self, back: &WayBack) -> Result<bool, ClusterError> {
        let release = match &back.release {
            Some(release) => release.clone(),
            None => self.settle_release(back)?,
        };
        if self.skip.stands || broken!(SkipNotWritten) {
            self.begin_again_with_arrived(&release);
            return Ok(true);
        }
        let by_settings = self.policy.skip_versions.contains(&release);
        let by_tag = self.fleet.skipped.contains(&release);
        if by_tag || self.facts.dry_run {
            return Ok(self.go_back(&release));
        }
        let now = self.clock.now();
        if self.skip.asked_at.is_some_and(|asked_at| now < after(asked_at, planner::SKIP_POLL)) {
            return Ok(false);
        }
        self.skip.asked_at = Some(now);
        let since = *self.skip.since.get_or_insert(now);
        let error = match self.write_skip(&release).await {
            Ok(Written::Stands) => {
                // The plan goes by what a look at the whole cluster reads.
                self.looked_full = Some(Timestamp::MIN);
                None
            }
            Ok(Written::NotYet(error)) => error,
            // Other runs may have other settings: the tag is for them, and these are enough where it is refused.
            Err(error) if by_settings => {
                tracing::warn!(cluster = %self.name, error = %error.message, "the skip could not be written");
                return Ok(self.go_back(&release));
            }
            Err(error) => return Err(error),
        };
        if self.clock.now() >= after(since, PATIENCE) {
            if by_settings {
                return Ok(self.go_back(&release));
            }
            let why = error.map_or_else(|| "ECS does not show the tag".to_owned(), |error| error.to_string());
            return Err(self.not_skipped(&release, ClusterErrorKind::NotReachable, &why));
        }
        Ok(false)
    }

    /// The skip stands: what arrived meanwhile goes back too.
    fn go_back(&mut self, release: &Version) -> bool {
        self.skip.stands = true;
        self.begin_again_with_arrived(release);
        true
    }

    /// Finds the release that was rolled out last.
    fn settle_release(&mut self, back: &WayBack) -> Result<Version, ClusterError> {
        let is_skipped =
            |version: &Version| self.policy.skip_versions.contains(version) || self.fleet.skipped.contains(version);
        let (release, at) = planner::newest_release(&self.fleet, is_skipped, self.clock.now()).map_err(|why| {
            let message = format!(
                "cluster {}: nothing goes back, since the release that was rolled out last is not known: {why}; name it \
                 (ecs-updater rollback --release VERSION)",
                self.name
            );
            ClusterError { kind: ClusterErrorKind::Configuration, message }
        })?;
        tracing::info!(cluster = %self.name, %release, updated_at = %at, "goes back from the release that was rolled out last");
        self.facts.purpose = Purpose::Rollback(WayBack { release: Some(release.clone()), ..back.clone() });
        Ok(release)
    }

    /// Writes the release into the cluster's tag, beside what stands there, unless it is there already.
    async fn write_skip(&mut self, release: &Version) -> Result<Written, ClusterError> {
        let described = match self.aws.describe_clusters(std::slice::from_ref(self.name)).await {
            Ok(described) => described,
            Err(error) => return self.unless_refused(release, error),
        };
        let (Some(arn), Some(tags)) = (described.arns.get(self.name), described.tags.get(self.name)) else {
            return Ok(Written::NotYet(described.failure(self.name)));
        };
        self.skip.arn = Some(arn.clone());
        if skipped(tags).contains(release) {
            return Ok(Written::Stands);
        }
        let Some(value) = with_skipped(tags, release) else {
            let why = "the tag has no room for one version more";
            return Err(self.not_skipped(release, ClusterErrorKind::Configuration, why));
        };
        match self.aws.tag_cluster(arn, SKIP_TAG, &value).await {
            Ok(()) => {
                tracing::warn!(cluster = %self.name, %release, tag = SKIP_TAG, value, "skipped in this cluster from now on");
                Ok(Written::NotYet(None))
            }
            Err(error) => self.unless_refused(release, error),
        }
    }

    /// What AWS refuses for good ends the run; all else is tried again.
    fn unless_refused(&self, release: &Version, error: AwsError) -> Result<Written, ClusterError> {
        let kind = match &error.kind {
            ErrorKind::Denied => ClusterErrorKind::NotPermitted,
            ErrorKind::NotFound => ClusterErrorKind::ClusterNotFound,
            ErrorKind::Refused(_) => ClusterErrorKind::Unexpected,
            ErrorKind::NoAnswer | ErrorKind::Throttled | ErrorKind::LeaseOver | ErrorKind::Stopped => {
                return Ok(Written::NotYet(Some(error)));
            }
        };
        Err(self.not_skipped(release, kind, &format!("{error}; {}", error.advice())))
    }

    /// Nothing goes back without the skip.
    fn not_skipped(&self, release: &Version, kind: ClusterErrorKind, why: &str) -> ClusterError {
        let message = format!(
            "cluster {}: nothing goes back, since {release} could not be skipped in it first: {why}. Somebody who may can do \
             it: {}; or name {release} under skip_versions",
            self.name,
            self.tag_line(release)
        );
        ClusterError { kind, message }
    }

    /// The line that a person types to skip a release beside what is skipped already.
    fn tag_line(&self, release: &Version) -> String {
        let mut all = self.fleet.skipped.clone();
        all.insert(release.clone());
        let value = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let arn = self.skip.arn.as_deref().unwrap_or("CLUSTER-ARN");
        format!("aws ecs tag-resource --resource-arn {arn} --tags 'key={SKIP_TAG},value={value}'")
    }

    /// Returns what the report says of the skip, as it stands at the end, and of why the run went back by itself.
    pub(super) fn skip_notes(&self, now: Timestamp) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(self.skip.bad.as_ref().map(|bad| self.note_of_alarm(bad, now)));
        notes.extend(self.skip.named.as_ref().filter(|_| self.skip.bad.is_none()).map(|bad| self.note_of_named(bad)));
        let release = self.facts.purpose.way_back().and_then(|back| back.release.as_ref());
        if let Some(release) = release.filter(|_| self.skip.stands) {
            notes.push(self.note(release));
        }
        notes
    }

    /// Returns what became of the way back that the run set out on by itself.
    fn note_of_alarm(&self, bad: &Bad, now: Timestamp) -> String {
        let Bad { release, .. } = bad;
        let (cluster, because) = (self.name, because(bad));
        if let Some(error) = &self.skip.refused {
            // A run that comes to its end has it as its error.
            let is_told = self.facts.stop != Some(Stop::Interrupted);
            let why = if is_told { format!("{release} could not be skipped first") } else { error.message.clone() };
            return format!("what was updated should have gone back, because {because}, but has not: {why}");
        }
        let by_hand = format!("ecs-updater rollback --cluster {cluster} --release {release}");
        if !self.skip.stands {
            return format!(
                "what was updated should have gone back, because {because}; the run ended before {release} was skipped in this \
                 cluster, so nothing went back: {by_hand}"
            );
        }
        let left = planner::runs_skipped(&self.fleet, self.policy).get(release).copied().unwrap_or(0);
        match self.why_not_on(release, now) {
            Some(why) if left > 0 => format!(
                "what was updated goes back, because {because}, but {left} of the instances still run {release}: {why}; a later run \
                 goes on while the alarm fires, otherwise {by_hand}"
            ),
            Some(_) | None => format!("what was updated goes back, because {because}"),
        }
    }

    /// Returns why nothing goes back from a release that a person has named.
    fn note_of_named(&self, bad: &Bad) -> String {
        let (cluster, release) = (self.name, &bad.release);
        format!(
            "{}, and nothing goes back by itself, since --target names {release}; to take it back: ecs-updater rollback --cluster \
             {cluster} --release {release}",
            because(bad)
        )
    }

    /// Returns what lets nothing more go back at the end of the run, in words.
    fn why_not_on(&self, release: &Version, now: Timestamp) -> Option<String> {
        match self.facts.stopped() {
            Some(Stop::Interrupted) => Some("the run was interrupted".to_owned()),
            Some(Stop::NotPermitted { detail, .. }) => Some(format!("not permitted: {detail}")),
            Some(Stop::TwoGroups(why)) => Some(why.to_string().trim_start_matches("not begun: ").to_owned()),
            None => {
                let asked = Asked { outside_window: self.facts.outside_window, finish: *self.finish.borrow() };
                let closed = planner::on_release(&self.fleet, release).find_map(|instance| {
                    let member = planner::membership(instance, self.policy);
                    let policy = planner::policy_of(instance, self.policy);
                    let closed = planner::closed_for_drains(&self.fleet, policy, asked, now);
                    member.hold(instance).or(closed)
                })?;
                Some(closed.to_string().trim_start_matches("not begun: ").to_owned())
            }
        }
    }

    fn note(&self, release: &Version) -> String {
        let cluster = self.name;
        let by_settings = self.policy.skip_versions.contains(release);
        let by_tag = self.fleet.skipped.contains(release);
        if !by_settings && !by_tag && !self.facts.dry_run {
            return format!(
                "{release} was skipped in this cluster, and somebody lifted that while the run was at work: nothing more went back, \
                 and a run may install it again"
            );
        }
        if by_settings && !by_tag {
            return format!(
                "{release} is skipped by skip_versions of this run alone, since its tag {SKIP_TAG} could not be written: a run with \
                 other settings would install it again"
            );
        }
        if !by_tag {
            return format!(
                "a run skips {release} in this cluster first, by its tag {SKIP_TAG}, for which it needs ecs:TagResource on the cluster"
            );
        }
        format!(
            "{release} is skipped in this cluster by its tag {SKIP_TAG}: no run installs it until somebody lifts that \
             (ecs-updater unskip --cluster {cluster} {release})"
        )
    }

    /// Takes up the instances whose update to the release this run has brought to its end, since they were in the middle of
    /// it: they go back like the others.
    fn begin_again_with_arrived(&mut self, release: &Version) {
        let arrived = |run: &RunMemory| {
            let verdict = run.verdict.as_deref();
            verdict.is_some_and(|one| one.outcome == Outcome::Updated && one.to.as_ref() == Some(release))
        };
        let hosts: BTreeMap<HostId, RunMemory> = self
            .fleet
            .instances
            .values()
            .filter(|instance| arrived(&instance.run))
            .map(|instance| (instance.host.clone(), instance.run.clone()))
            .collect();
        for (host, run) in hosts {
            let Some(instance) = self.fleet.instances.get_mut(&host) else { continue };
            tracing::info!(%host, %release, "was in the middle of its update to the release; goes back like the others");
            instance.run = RunMemory {
                transport: run.transport,
                boot: run.boot,
                tags_written_at: run.tags_written_at,
                naming: run.naming,
                misnamed_at: run.misnamed_at,
                told_by_ssm: run.told_by_ssm,
                last_seen: run.last_seen,
                ..RunMemory::default()
            };
            instance.visit = None;
        }
    }
}

/// Why a run goes back by itself.
fn because(Bad { release, alarm, since }: &Bad) -> String {
    format!("the alarm {alarm:?} began to fire at {since}, while {release} was watched (on_alarm = \"roll-back\")")
}
