//! A report as text that changes only where its meaning does: what `tests/scenarios/reports` keeps.

use std::fmt::{Error, Write as _};

use ecs_updater::render::duration;
use models::report::{GroupReport, InstanceReport};
use semver::Version;

use crate::expect::HostEnd;
use crate::rollout::Ran;
use crate::trial::{Kind, Trial};

/// What came of everything that the updater was run for; without `times`, nothing that depends on how long things took.
///
/// # Errors
/// Those of writing; a String has none.
pub fn record(trial: &Trial, times: bool) -> Result<String, Error> {
    let (mut out, of) = (String::new(), trial.ran.len());
    for (number, ran) in (1..).zip(&trial.ran) {
        match trial.kind {
            Kind::Processes => writeln!(out, "process {number} of {of}")?,
            Kind::Runs if of > 1 => writeln!(out, "run {number} of {of}")?,
            Kind::Runs => {}
        }
        record_run(&mut out, ran, times)?;
    }
    Ok(out)
}

fn record_run(out: &mut String, ran: &Ran, times: bool) -> Result<(), Error> {
    let Some(report) = &ran.report else {
        return writeln!(out, "killed after {}\n", duration::short(ran.took));
    };
    for line in &ran.said {
        writeln!(out, "said: {line}")?;
    }
    write!(out, "{:?}", ran.exit(report))?;
    if times {
        writeln!(out, " after {}", duration::short(ran.took))?
    } else {
        writeln!(out)?
    }
    for cluster in &report.clusters {
        writeln!(out, "\ncluster {}", cluster.cluster)?;
        if let Some(error) = &cluster.error {
            writeln!(out, "  error {:?}: {}", error.kind, error.message)?;
        }
        for ignored in &cluster.ignored_tags {
            writeln!(
                out,
                "  ignored tag {} = {}: {} is {}",
                ignored.tag, ignored.value, ignored.setting, ignored.stands
            )?;
        }
        for instance in &cluster.instances {
            record_instance(out, instance, times)?;
        }
        for note in &cluster.notes {
            writeln!(out, "  note: {note}")?;
        }
        for group in &cluster.auto_scaling_groups {
            record_group(out, group)?;
        }
        if let Some(estimate) = &cluster.estimate {
            writeln!(out, "  estimate {}: {}", duration::short(estimate.duration), estimate.rests_on.join("; "))?;
        }
        if !times {
            continue;
        }
        let calls: u64 = cluster.aws_calls.values().sum();
        writeln!(out, "  {calls} AWS calls")?;
        for (operation, count) in &cluster.aws_calls {
            writeln!(out, "    {count:>4} {operation}")?;
        }
    }
    if let Some(found) = &report.nothing_updated {
        writeln!(out, "{found}")?;
    }
    writeln!(out)
}

fn record_instance(out: &mut String, instance: &InstanceReport, times: bool) -> Result<(), Error> {
    write!(out, "  {} {}", instance.ec2_instance_id, HostEnd::of(instance))?;
    if instance.from.is_some() || instance.to.is_some() {
        write!(out, " {}", version(instance.from.as_ref()))?;
    }
    if instance.to.is_some() {
        write!(out, " -> {}", version(instance.to.as_ref()))?;
    }
    if let Some(out_s) = instance.out_of_service_s.filter(|_| times) {
        write!(out, ", out {out_s} s")?;
    }
    writeln!(out)?;
    if let Some(detail) = &instance.detail {
        writeln!(out, "    {detail}")?;
    }
    let phases: Vec<String> = instance
        .phases
        .iter()
        .filter_map(|phase| {
            let ended = phase.ended_at?;
            Some(format!("{} {}s", phase.phase.as_str(), ended.duration_since(phase.began_at).as_secs()))
        })
        .collect();
    if phases.is_empty() || !times { Ok(()) } else { writeln!(out, "    {}", phases.join(", ")) }
}

fn record_group(out: &mut String, group: &GroupReport) -> Result<(), Error> {
    let drifts = if group.drifts() { ", drifts" } else { "" };
    writeln!(
        out,
        "  group {} of {}: {} from {} with {}, newest {}{drifts}",
        group.name,
        group.instances,
        group.youngest,
        group.image,
        version(group.image_version.as_ref()),
        version(group.newest.as_ref())
    )?;
    let Some(launches) = &group.launches else { return Ok(()) };
    for launch in &launches.images {
        writeln!(
            out,
            "    launches {} with {} from {}, {} ahead",
            launch.image,
            version(launch.version.as_ref()),
            launch.from,
            launches.ahead
        )?;
    }
    let others = [("besides", &launches.besides), ("unknown", &launches.unknown)];
    for (name, words) in others.into_iter().filter_map(|(name, words)| Some((name, words.as_ref()?))) {
        writeln!(out, "    {name}: {words}")?;
    }
    Ok(())
}

fn version(version: Option<&Version>) -> String {
    version.map_or("?".to_owned(), ToString::to_string)
}
