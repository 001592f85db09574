//! The metrics of a run in CloudWatch's embedded metric format: JSON objects in the log, from which CloudWatch Logs makes
//! metrics by itself, without a call or a permission
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! A line for each cluster and one for the run. Their number and names are bounded: the reasons are a closed set, the versions
//! are the [`MAX_VERSIONS`] oldest, and the clusters those of the run. Units are those of `PutMetricData`; a day has none there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::clean;
use models::report::{ClusterErrorKind, ClusterReport, InstanceReport, Outcome, RunReport};
use semver::Version;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "EcsUpdater";
/// The dimension that tells the updaters of an account and Region apart, such as two stacks.
pub const UPDATER: &str = "Updater";
/// The dimension of a cluster's own metrics.
pub const CLUSTER: &str = "Cluster";
/// Versions of a cluster that are counted one by one, the oldest first. With all reasons, a line stays below the format's 100
/// metrics.
pub const MAX_VERSIONS: usize = 20;
/// Characters of a version that is counted. No release has that many, and CloudWatch takes names of 255 at most.
const MAX_VERSION_LENGTH: usize = 64;

/// One metric of a line.
#[derive(Debug, Clone, PartialEq)]
struct Metric {
    name: String,
    unit: &'static str,
    value: Value,
}

/// Returns the lines, each without a line break: those of the clusters, and the run's last. A plan has none. `updater` is the
/// value of [`UPDATER`].
pub fn lines(report: &RunReport, updater: &str) -> Vec<String> {
    if report.dry_run {
        return Vec::new();
    }
    let mut lines: Vec<String> = report
        .clusters
        .iter()
        .map(|cluster| {
            let dimensions = [(UPDATER, updater), (CLUSTER, cluster.cluster.as_str())];
            line(report, &dimensions, of_cluster(cluster, report))
        })
        .collect();
    lines.push(line(report, &[(UPDATER, updater)], of_run(report)));
    lines
}

/// Returns the metrics of the whole run by their names, as the lines hold them.
pub fn of_the_run(report: &RunReport) -> BTreeMap<String, Value> {
    of_run(report).into_iter().map(|metric| (metric.name, metric.value)).collect()
}

/// Returns the metrics of a cluster by their names, as the lines hold them.
pub fn of_the_cluster(cluster: &ClusterReport, report: &RunReport) -> BTreeMap<String, Value> {
    of_cluster(cluster, report).into_iter().map(|metric| (metric.name, metric.value)).collect()
}

fn line(report: &RunReport, dimensions: &[(&str, &str)], metrics: Vec<Metric>) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let defined: Vec<Value> =
        metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit })).collect();
    let mut root = Map::new();
    root.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": report.ended_at.as_millisecond(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": defined }],
        }),
    );
    root.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    root.insert("run".to_owned(), json!(report.run));
    root.extend(metrics.into_iter().map(|metric| (metric.name, metric.value)));
    clean::json(&Value::Object(root).to_string()).into_owned()
}

fn metric(name: impl Into<String>, unit: &'static str, value: impl Into<Value>) -> Metric {
    Metric { name: name.into(), unit, value: value.into() }
}

fn count(name: impl Into<String>, value: usize) -> Metric {
    metric(name, "Count", value)
}

/// What is not known of a cluster that was never looked at is left out, and is not 0.
fn of_cluster(cluster: &ClusterReport, report: &RunReport) -> Vec<Metric> {
    let mut metrics = vec![count("AnotherRun", usize::from(is_another_runs(cluster)))];
    if !is_seen(cluster) {
        return metrics;
    }
    metrics.extend(states(&[cluster], report));
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    let all = cluster.instances.iter().filter(|instance| instance.outcome == Outcome::Held);
    for code in all.filter_map(|instance| instance.reason.as_deref()) {
        *held.entry(code).or_default() += 1;
    }
    metrics.extend(held.into_iter().map(|(code, instances)| count(format!("Held_{code}"), instances)));
    metrics.extend(versions(cluster));
    metrics
}

/// How many instances run each version at the end; those beyond the [`MAX_VERSIONS`] oldest are counted together.
fn versions(cluster: &ClusterReport) -> Vec<Metric> {
    let mut running: BTreeMap<&Version, usize> = BTreeMap::new();
    let all = cluster.instances.iter().filter_map(InstanceReport::version_at_end);
    for version in all.filter(|version| version.to_string().len() <= MAX_VERSION_LENGTH) {
        *running.entry(version).or_default() += 1;
    }
    let newer: usize = running.values().skip(MAX_VERSIONS).sum();
    let oldest = running.into_iter().take(MAX_VERSIONS);
    let mut metrics: Vec<Metric> =
        oldest.map(|(version, instances)| count(format!("Version_{version}"), instances)).collect();
    if newer > 0 {
        metrics.push(count("Version_newer", newer));
    }
    metrics
}

fn of_run(report: &RunReport) -> Vec<Metric> {
    let others = report.clusters.iter().filter(|cluster| is_another_runs(cluster)).count();
    let mut metrics =
        vec![count("AnotherRun", others), count("NothingUpdated", usize::from(report.nothing_updated.is_some()))];
    let seen: Vec<&ClusterReport> = report.clusters.iter().filter(|cluster| is_seen(cluster)).collect();
    if !seen.is_empty() {
        metrics.extend(states(&seen, report));
    }
    metrics
}

/// Of several clusters numbers of instances are summed up, and times are the longest.
fn states(clusters: &[&ClusterReport], report: &RunReport) -> Vec<Metric> {
    let sum = |of: &dyn Fn(&ClusterReport) -> usize| clusters.iter().map(|cluster| of(cluster)).sum();
    let failed = |cluster: &ClusterReport| cluster.count(Outcome::Failed) + cluster.count(Outcome::RolledBack);
    let mut metrics = vec![
        count("Updated", sum(&|cluster| cluster.count(Outcome::Updated))),
        count("Outdated", sum(&ClusterReport::outdated)),
        count("Held", sum(&|cluster| cluster.count(Outcome::Held))),
        count("Failed", sum(&failed)),
        count("OutOfService", sum(&|cluster| cluster.end.out_of_service)),
    ];
    let oldest = clusters.iter().filter_map(|cluster| cluster.end.drained_since).min();
    let drained_for = oldest.map_or(0, |since| report.ended_at.duration_since(since).as_secs().max(0));
    metrics.push(metric("OldestDrain", "Seconds", drained_for));
    let days = clusters.iter().filter_map(|cluster| days_without_progress(cluster, report)).max();
    metrics.extend(days.map(|days| metric("DaysWithoutProgress", "None", days)));
    let published = clusters.iter().filter_map(|cluster| cluster.oldest_release.as_ref()).map(|one| one.published_at);
    metrics.extend(published.min().map(|at| metric("OldestVersionDays", "None", whole_days(at, report))));
    metrics
}

/// Whole days since the last update of an instance while something is outdated; 0 where nothing is. `None`: not known. Where a
/// release is watched, [`last_progress`](models::report::ClusterEnd::last_progress) says what its updates count.
fn days_without_progress(cluster: &ClusterReport, report: &RunReport) -> Option<i64> {
    let is_baking = cluster.instances.iter().any(InstanceReport::is_baking);
    if cluster.outdated() == 0 || (cluster.count(Outcome::Updated) > 0 && !is_baking) {
        return Some(0);
    }
    Some(whole_days(cluster.end.last_progress?, report))
}

fn whole_days(since: Timestamp, report: &RunReport) -> i64 {
    (report.ended_at.duration_since(since).as_hours() / 24).max(0)
}

fn is_another_runs(cluster: &ClusterReport) -> bool {
    cluster.error.as_ref().is_some_and(|error| error.kind == ClusterErrorKind::AnotherRun)
}

/// Whether the run has looked at the cluster.
fn is_seen(cluster: &ClusterReport) -> bool {
    cluster.error.is_none() || !cluster.instances.is_empty()
}
