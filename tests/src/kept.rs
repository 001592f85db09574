//! The reports that runs keep in S3: what is wrong with those that lie there, and which are missing.

use std::collections::BTreeSet;

use ecs_updater::render::html;
use jiff::SignedDuration;
use models::policy::Shelf;
use models::report::RunReport;

use crate::rollout::Rollout;
use crate::trial::Trial;
use crate::wire::{Call, Outcome};
use crate::world::{Objects, StoredObject};

/// How long a run waits for its buckets after a signal, at least.
const PATIENCE: SignedDuration = SignedDuration::from_secs(2);

/// What is wrong, a line each.
pub(crate) fn problems(rollout: &Rollout, trial: &Trial) -> Vec<String> {
    let objects = rollout.region.look(|world| world.objects().clone());
    let puts: Vec<Call> = rollout.region.calls().into_iter().filter(|call| call.name() == "s3:PutObject").collect();
    let reports = trial.ran.iter().filter(|ran| ran.steered.is_none()).filter_map(|ran| ran.report.as_ref());
    let reports: Vec<&RunReport> = reports.filter(|report| !report.dry_run).collect();
    let mut problems: Vec<String> =
        objects.iter().filter_map(|(name, object)| of_object(name, object, &reports)).collect();
    // What was refused, got no answer, or took longer than it is waited for need not be there.
    let is_sound = |call: &Call| call.outcome == Outcome::Success && call.latency < PATIENCE;
    if puts.iter().all(is_sound) && !rollout.may_fail("s3:PutObject") {
        let wanted = reports.iter().flat_map(|report| shelves(rollout).into_iter().map(move |shelf| (shelf, report)));
        problems.extend(wanted.flat_map(|(shelf, report)| missing(&shelf, report, &objects)));
    }
    problems
}

fn shelves(rollout: &Rollout) -> BTreeSet<Shelf> {
    let policies = rollout.clusters.iter().filter_map(|(_, policy)| policy.as_ref().ok());
    policies.filter_map(|policy| policy.reports.clone()).collect()
}

/// The two objects of a run: by its start, so that they sort as runs do, and by its id, so that no two are alike.
fn keys(report: &RunReport) -> [String; 2] {
    let day = report.started_at.strftime("%Y/%m/%d").to_string();
    let time = report.started_at.strftime("%H-%M-%S").to_string();
    ["json", "html"].map(|ending| format!("{day}/{time}Z-{}.{ending}", report.run))
}

fn missing(shelf: &Shelf, report: &RunReport, objects: &Objects) -> Vec<String> {
    let key = |key: String| if shelf.prefix.is_empty() { key } else { format!("{}/{key}", shelf.prefix) };
    let names = keys(report).map(|name| (shelf.bucket.clone(), key(name)));
    let missing = names.into_iter().filter(|name| !objects.contains_key(name));
    missing.map(|(bucket, key)| format!("not kept: s3://{bucket}/{key}")).collect()
}

fn of_object((bucket, key): &(String, String), object: &StoredObject, reports: &[&RunReport]) -> Option<String> {
    let wrong = |what: &str| Some(format!("s3://{bucket}/{key}: {what}"));
    if object.puts > 1 {
        return wrong("something else was put under the same name");
    }
    let named = |report: &&&RunReport| keys(report).iter().any(|name| key.ends_with(name.as_str()));
    // A run that was killed has no report here.
    let report = reports.iter().find(named)?;
    let body = String::from_utf8_lossy(&object.body);
    if key.ends_with(".json") {
        let same = serde_json::from_str::<serde_json::Value>(&body).ok() == serde_json::to_value(report).ok();
        let is_typed = object.content_type.as_deref() == Some("application/json");
        return if same && is_typed { None } else { wrong("it is not the report of the run") };
    }
    let is_typed = object.content_type.as_deref() == Some("text/html; charset=utf-8");
    if body == html::render(report) && is_typed { None } else { wrong("it is not the page of the run") }
}
