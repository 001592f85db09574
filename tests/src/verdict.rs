//! Holds what came of a scenario against its `[expect]`, and against the rules.

use std::collections::{BTreeMap, BTreeSet};

use ecs_updater::exit::ExitStatus;
use ecs_updater::render::{duration, metrics};
use models::report::{ClusterErrorKind, InstanceReport, Outcome, RunReport};

use crate::emf;
use crate::expect::{Exit, Expect, HostEnd, HostIndex};
use crate::invariants::{Rule, Violation};
use crate::kept;
use crate::rollout::{Ran, Rollout};
use crate::trial::{Kind, Trial};
use crate::world::PostedEvent;

/// How much of an end has to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// All of it: what `[expect]` does not name must be `success`, and no instance, and no error.
    Whole,
    /// What `[expect]` names; the rest may be as it is.
    Named,
}

/// What is wrong with an end.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Everything that is wrong, a line each: first the runs that did not end or stood still, then rules, then what was
    /// expected otherwise, then what is not modelled. Empty where all is right.
    pub problems: Vec<String>,
    /// The rules that were broken, those that may be included.
    pub broken_rules: Vec<Violation>,
    /// What was asked for and is not modelled.
    pub not_modelled: Vec<String>,
}

impl Verdict {
    /// Judges what came of a scenario. It may be asked once: the rules of the end are checked here.
    pub fn of(rollout: &Rollout, expect: &Expect, trial: &Trial, strictness: Strictness) -> Self {
        let mut judge = Judge { rollout, expect, strictness, problems: Vec::new() };
        judge.ends(trial);
        let broken_rules = broken_rules(rollout, trial);
        let unexpected = broken_rules.iter().filter(|violation| !expect.broken_rules.contains(&violation.rule));
        judge.problems.extend(unexpected.map(|violation| format!("rule broken: {violation}")));
        if trial.kind == Kind::Processes {
            judge.processes(trial);
            judge.strictness = Strictness::Named;
        }
        match trial.last() {
            Some((ran, report)) => judge.report(ran, report),
            None if expect.names_a_report() && !trial.ran.iter().any(|ran| ran.endless.is_some()) => {
                judge.problems.push("the last run was killed, and gave no report to be as expected".to_owned());
            }
            None => {}
        }
        judge.versions();
        if let Some(wanted) = &expect.posted {
            let got = rollout.region.look(|world| posted(world.posted()));
            judge.check("posted", &format!("{wanted:?}"), &format!("{got:?}"));
        }
        judge.problems.extend(kept::problems(rollout, trial));
        if let Some(wanted) = expect.kept {
            let got = rollout.region.look(|world| world.objects().len());
            judge.check("kept", &wanted.to_string(), &got.to_string());
        }
        if let Some(wanted) = expect.taken_back {
            judge.check("taken_back", &wanted.to_string(), &rollout.region.deployments_taken_back().to_string());
        }
        for (group, wanted) in &expect.min_sizes {
            let got = rollout.region.look(|world| world.bounds_of(group).0);
            judge.check(&format!("min_sizes.{group}"), &wanted.to_string(), &got.to_string());
        }
        let not_modelled = rollout.region.unknown();
        judge.problems.extend(not_modelled.iter().map(|what| format!("not modelled: {what}")));
        Self { problems: judge.problems, broken_rules, not_modelled }
    }

    /// Judges an updater that ended before its first run.
    pub fn of_refusal(expect: &Expect, exit: Exit, why: &str) -> Self {
        let as_expected = match expect.exit {
            Some(wanted) => wanted == exit,
            None => !expect.names_a_report() && expect.process.is_empty() && expect.versions.is_empty(),
        };
        let problem = (!as_expected).then(|| format!("the updater ended before its first run with {exit}: {why}"));
        Self { problems: problem.into_iter().collect(), ..Self::default() }
    }
}

/// Each run with its name.
fn numbered(trial: &Trial) -> impl Iterator<Item = (String, &Ran)> {
    let of = trial.ran.len();
    (1..).zip(&trial.ran).map(move |(number, ran)| {
        let name = match trial.kind {
            Kind::Runs if of == 1 => "the run".to_owned(),
            Kind::Runs | Kind::Processes => format!("{} {number}", trial.kind.as_str()),
        };
        (name, ran)
    })
}

/// Without a last report, only the rules that hold all the time can be judged.
fn broken_rules(rollout: &Rollout, trial: &Trial) -> Vec<Violation> {
    let Some((_, report)) = trial.last() else { return rollout.region.violations() };
    let mut broken = rollout.violations(report);
    broken.retain(|violation| violation.rule != Rule::ClaimLeft || !is_in_progress(report, violation));
    broken
}

/// An instance that a run was interrupted on keeps its claim, and the report says so.
fn is_in_progress(report: &RunReport, violation: &Violation) -> bool {
    let mut instances = report.clusters.iter().flat_map(|cluster| &cluster.instances);
    instances.any(|one| one.ec2_instance_id == violation.instance && one.outcome == Outcome::InProgress)
}

/// A kind of error as it stands in JSON.
fn words(kind: Option<ClusterErrorKind>) -> String {
    serde_json::json!(kind).as_str().unwrap_or("none").to_owned()
}

/// Events by their detail-type. One that comes twice is counted once.
fn posted(events: &[PostedEvent]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let ids: BTreeSet<_> =
        events.iter().map(|event| (event.detail_type.as_str(), event.detail["id"].as_str())).collect();
    for (detail_type, _) in ids {
        *counts.entry(detail_type.to_owned()).or_default() += 1;
    }
    counts
}

/// Compares, and collects what differs.
struct Judge<'a> {
    rollout: &'a Rollout,
    expect: &'a Expect,
    strictness: Strictness,
    problems: Vec<String>,
}

impl Judge<'_> {
    fn is_whole(&self) -> bool {
        self.strictness == Strictness::Whole
    }

    fn check(&mut self, what: &str, wanted: &str, got: &str) {
        if wanted != got {
            self.problems.push(format!("{what}: expected {wanted}, got {got}"));
        }
    }

    /// The exit status that must be.
    fn exit(&self, named: Option<Exit>) -> Option<Exit> {
        named.or(self.is_whole().then_some(Exit(ExitStatus::Success)))
    }

    fn ends(&mut self, trial: &Trial) {
        for (name, endless) in numbered(trial).filter_map(|(name, ran)| Some((name, ran.endless?))) {
            self.problems.push(format!("{name} {endless}"));
        }
        for (name, ran) in numbered(trial) {
            self.problems.extend(ran.stalls.iter().map(|stall| format!("{name}: {stall}")));
        }
    }

    fn report(&mut self, ran: &Ran, report: &RunReport) {
        let (expect, whole) = (self.expect, self.is_whole());
        if let Some(wanted) = self.exit(expect.exit) {
            self.check("exit", &wanted.to_string(), &Exit(ran.exit(report)).to_string());
        }
        let instances: Vec<&InstanceReport> = report.clusters.iter().flat_map(|cluster| &cluster.instances).collect();
        for outcome in Outcome::ALL {
            let Some(wanted) = expect.outcomes.get(&outcome).copied().or(whole.then_some(0)) else { continue };
            let got = instances.iter().filter(|instance| instance.outcome == outcome).count();
            self.check(outcome.as_str(), &wanted.to_string(), &got.to_string());
        }
        for (HostIndex(index), wanted) in &expect.hosts {
            let host = self.rollout.region.snapshot_of(*index);
            let found = host.and_then(|host| instances.iter().find(|instance| instance.ec2_instance_id == host.id));
            let mut got = found.map(|instance| HostEnd::of(instance));
            if let Some(got) = got.as_mut().filter(|_| wanted.reason.is_none() && !whole) {
                got.reason = None;
            }
            let got = got.map_or("not in the report".to_owned(), |got| got.to_string());
            self.check(&format!("host {index}"), &wanted.to_string(), &got);
        }
        if let Some(wanted) = &expect.nothing_updated {
            let got = report.nothing_updated.as_ref().map(ToString::to_string).unwrap_or_default();
            self.check("nothing_updated", wanted, &got);
        }
        let metrics = metrics::of_the_run(report);
        for (name, wanted) in &expect.metrics {
            let got = metrics.get(name).and_then(serde_json::Value::as_i64);
            if !wanted.is(got) {
                self.problems.push(format!("metric {name}: expected {wanted:?}, got {got:?}"));
            }
        }
        self.problems.extend(emf::problems(report));
        let calls: u64 = report.clusters.iter().flat_map(|cluster| cluster.aws_calls.values()).sum();
        if let Some(most) = expect.max_calls.filter(|most| calls > *most) {
            self.problems.push(format!("{calls} AWS calls, {most} at most"));
        }
        if let Some(most) = expect.max_minutes.filter(|most| ran.took.as_mins() >= *most) {
            self.problems.push(format!("took {}, {most} minutes at most", duration::short(ran.took)));
        }
    }

    fn versions(&mut self) {
        for (HostIndex(index), wanted) in &self.expect.versions {
            let host = self.rollout.region.snapshot_of(*index);
            let got = host.map_or("no such host".to_owned(), |host| host.version.to_string());
            self.check(&format!("version of host {index}"), &wanted.to_string(), &got);
        }
    }

    fn processes(&mut self, trial: &Trial) {
        for ((name, ran), spec) in numbered(trial).zip(&self.expect.process) {
            let Some(report) = &ran.report else {
                let named = spec.exit.is_some() || spec.error.is_some() || spec.updated.is_some();
                if named && ran.endless.is_none() {
                    self.problems.push(format!("{name} was killed, and gave no report to be as expected"));
                }
                continue;
            };
            if let Some(wanted) = self.exit(spec.exit) {
                self.check(&format!("{name}: exit"), &wanted.to_string(), &Exit(ran.exit(report)).to_string());
            }
            if self.is_whole() || spec.error.is_some() {
                let error = report.clusters.iter().find_map(|cluster| Some(cluster.error.as_ref()?.kind));
                self.check(&format!("{name}: error"), &words(spec.error), &words(error));
            }
            if let Some(wanted) = spec.updated {
                let got: usize = report.clusters.iter().map(|cluster| cluster.count(Outcome::Updated)).sum();
                self.check(&format!("{name}: updated"), &wanted.to_string(), &got.to_string());
            }
        }
    }
}
