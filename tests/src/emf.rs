//! CloudWatch's embedded metric format, as its specification has it: what CloudWatch Logs would make no metric of
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use std::collections::BTreeSet;

use ecs_updater::render::metrics;
use models::report::RunReport;
use serde_json::{Map, Value};

/// The units of `PutMetricData` that stand for a count or a time.
const UNITS: [&str; 6] = ["Count", "Seconds", "Milliseconds", "Microseconds", "Percent", "None"];

/// What is wrong with the metrics that are written for a report, a line each.
pub fn problems(report: &RunReport) -> Vec<String> {
    let lines = metrics::lines(report, "stack");
    let mut problems: Vec<String> = lines.iter().flat_map(|line| of_line(line)).collect();
    let wanted = if report.dry_run { 0 } else { report.clusters.len() + 1 };
    if lines.len() != wanted {
        problems.push(format!("{} lines of metrics, {wanted} are wanted", lines.len()));
    }
    problems
}

/// What is wrong with one line.
pub fn of_line(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    // The size of a log event, and nothing before or behind the object.
    if line.len() > 256 * 1024 || line.contains('\n') {
        found.push("it is no single log event".to_owned());
    }
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(root)) => of_root(&root, &mut found),
        Ok(_) | Err(_) => found.push("it is no JSON object".to_owned()),
    }
    found.into_iter().map(|problem| format!("metrics: {problem}: {line}")).collect()
}

fn of_root(root: &Map<String, Value>, found: &mut Vec<String>) {
    let Some(Value::Object(metadata)) = root.get("_aws") else { return found.push("no _aws".to_owned()) };
    members(metadata, &["Timestamp", "CloudWatchMetrics"], found);
    // Milliseconds of Unix time.
    let at = metadata.get("Timestamp").and_then(Value::as_u64);
    if at.is_none_or(|at| at <= 1_000_000_000_000) {
        found.push("no Timestamp".to_owned());
    }
    let directives = metadata.get("CloudWatchMetrics").and_then(Value::as_array).filter(|all| !all.is_empty());
    let Some(directives) = directives else { return found.push("no CloudWatchMetrics".to_owned()) };
    for directive in directives {
        match directive {
            Value::Object(directive) => of_directive(directive, root, found),
            _ => found.push("a directive is no object".to_owned()),
        }
    }
}

fn of_directive(directive: &Map<String, Value>, root: &Map<String, Value>, found: &mut Vec<String>) {
    members(directive, &["Namespace", "Dimensions", "Metrics"], found);
    let namespace = directive.get("Namespace").and_then(Value::as_str).unwrap_or_default();
    if namespace.is_empty() || namespace.len() > 255 || namespace.starts_with("AWS/") {
        found.push("no namespace".to_owned());
    }
    let sets = directive.get("Dimensions").and_then(Value::as_array).filter(|sets| !sets.is_empty());
    for set in sets.into_iter().flatten() {
        let names = set.as_array().map(Vec::as_slice).unwrap_or_default();
        if names.is_empty() || names.len() > 30 {
            found.push("a set of no dimensions, or of too many".to_owned());
        }
        for name in names {
            let value = name.as_str().and_then(|name| root.get(name)?.as_str());
            if !value.is_some_and(|value| (1..=1024).contains(&value.len()) && value.is_ascii()) {
                found.push(format!("dimension {name} has no value"));
            }
        }
    }
    let metrics = directive.get("Metrics").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if sets.is_none() || metrics.is_empty() || metrics.len() > 100 {
        found.push("no dimensions, no metrics, or too many".to_owned());
    }
    let mut seen = BTreeSet::new();
    for metric in metrics {
        let name = metric.get("Name").and_then(Value::as_str).unwrap_or_default();
        let unit = metric.get("Unit").and_then(Value::as_str).unwrap_or_default();
        if !root.get(name).is_some_and(Value::is_number) || !UNITS.contains(&unit) || !seen.insert(name) {
            found.push(format!("metric {metric} has no number, no unit, or a twin"));
        }
        members(metric.as_object().unwrap_or(&Map::new()), &["Name", "Unit"], found);
    }
}

/// An object of the format has no other members.
fn members(object: &Map<String, Value>, allowed: &[&str], found: &mut Vec<String>) {
    found.extend(
        object.keys().filter(|key| !allowed.contains(&key.as_str())).map(|key| format!("unknown member {key}")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"{"_aws":{"Timestamp":1795402800000,"CloudWatchMetrics":[{"Namespace":"EcsUpdater","Dimensions":[["Updater"]],"Metrics":[{"Name":"Updated","Unit":"Count"}]}]},"Updater":"stack","run":"01","Updated":3}"#;

    #[test]
    fn what_cloudwatch_would_not_take_is_found() {
        assert_eq!(of_line(SOUND), Vec::<String>::new());
        let table = [
            ("\"Updated\":3", "\"Updated\":\"3\""),
            ("\"Updated\":3", "\"Other\":3"),
            ("\"Updater\":\"stack\"", "\"Updater\":7"),
            ("\"Updater\":\"stack\"", "\"Updater\":\"\""),
            ("1795402800000", "\"2026\""),
            ("1795402800000", "1795402800"),
            ("\"Namespace\":\"EcsUpdater\",", ""),
            ("[[\"Updater\"]]", "[\"Updater\"]"),
            ("[[\"Updater\"]]", "[]"),
            ("\"Unit\":\"Count\"", "\"Unit\":\"Instances\""),
            ("\"Unit\":\"Count\"", "\"Unit\":\"Count\",\"Value\":3"),
            ("{\"_aws\"", "x {\"_aws\""),
            ("_aws", "aws"),
        ];
        for (from, to) in table {
            let broken = SOUND.replacen(from, to, 1);
            assert_ne!(broken, SOUND);
            assert_ne!(of_line(&broken), Vec::<String>::new(), "{broken}");
        }
    }
}
