//! A rollout through packed clusters with capacity providers: what it takes, launches and ends, and how few tasks of each service
//! run meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use models::report::Outcome;

use super::{MeasureError, SETTLING, Way};
use crate::clock::paused;
use crate::expect::RunSpec;
use crate::rollout::Rollout;
use crate::scenario::{Scenario, ServiceKind};
use crate::world::World;

/// A packed cluster of a hundred instances in three capacity providers, whose launch templates are up to date.
#[derive(Debug, Clone, Copy)]
pub struct Packed {
    pub way: Way,
    /// `targetCapacity` of the providers.
    pub target: u32,
    /// Whether each provider is a zone, and each service is of all three; otherwise each has services of its own.
    pub by_zone: bool,
    pub spot: bool,
    /// Managed termination protection; otherwise managed draining alone.
    pub protects: bool,
    /// Lines of `[updater.defaults]`.
    pub defaults: &'static str,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    pub took: SignedDuration,
    /// Of the instances that there were before, so many run the release at the end.
    pub updated: usize,
    pub by_outcome: BTreeMap<&'static str, usize>,
    /// Instances that the groups have launched, and ended.
    pub launched: usize,
    pub ended: usize,
    /// The fewest healthy tasks of each service at any time, in percent of those desired; the lowest of them.
    pub lowest_percent: u32,
    /// Of each service whose lowest is below its desired count.
    pub below: BTreeMap<String, (u32, u32)>,
}

/// The instances of each provider.
const SIZES: [u32; 3] = [34, 33, 33];

impl Packed {
    /// The scenario's text. Each instance has 2 vCPU, and room for two tasks; what the target leaves empty has none.
    fn text(&self) -> String {
        let (instances, defaults) = self.way.lines();
        let spot = if self.spot { "lifecycle = \"spot\"" } else { "" };
        let mut text = format!(
            "clusters = [\"fleet\"]\nseed = 1830\n\
             [repository]\nversions = [\"1.26.1\", \"1.27.0\"]\n\
             [updater.defaults]\nmax_unavailable = \"10%\"\n{defaults}\n{}\n",
            self.defaults
        );
        let mut full = [0_u32; 3];
        for (number, size) in SIZES.into_iter().enumerate() {
            let name = ["a", "b", "c"][number];
            let zones = if self.by_zone { format!("[\"{name}\"]") } else { "[\"a\", \"b\", \"c\"]".to_owned() };
            full[number] = size * self.target / 100;
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "[[instances]]\ncount = {size}\nzones = {zones}\nversion = \"1.26.1\"\nimage = \"1.27.0\"\n\
                 asg = \"group-{name}\"\nprovider = \"{name}\"\n{spot}\n{instances}\n\
                 [providers.{name}]\nmanaged_scaling = {{ target = {} }}\ntermination_protection = {}\n",
                self.target, self.protects
            );
        }
        let service = |text: &mut String, name: &str, desired: u32, strategy: &str| {
            let _ = write!(
                text,
                "[[service]]\nname = \"{name}\"\ndesired = {desired}\ncpu = 1024\nmemory = \"1 GiB\"\nstrategy = [{strategy}]\n"
            );
        };
        for kind in ["web", "api"] {
            if self.by_zone {
                let all = "{ provider = \"a\" }, { provider = \"b\" }, { provider = \"c\" }";
                service(&mut text, kind, full.iter().sum(), all);
            } else {
                for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
                    let own = format!("{{ provider = \"{name}\" }}");
                    service(&mut text, &format!("{kind}-{name}"), full[number], &own);
                }
            }
        }
        text
    }
}

/// Runs it once.
///
/// # Errors
/// Where a rule is broken, or what is called is not modelled.
pub fn packed(kind: Packed) -> Result<Figures, MeasureError> {
    let runtime = paused();
    let runtime = runtime.map_err(|error| MeasureError::Unsound(error.to_string()))?;
    runtime.block_on(run(kind))
}

async fn run(kind: Packed) -> Result<Figures, MeasureError> {
    let scenario = Scenario::parse(&kind.text())?;
    let mut rollout = Rollout::start(&scenario).await?;
    tokio::time::sleep(SETTLING).await;
    let region = Arc::clone(&rollout.region);
    let mut lowest: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let spec = RunSpec::default();
    let ran = {
        let mut running = std::pin::pin!(rollout.run(&spec, &()));
        loop {
            tokio::select! {
                biased;
                ran = &mut running => break ran,
                () = tokio::time::sleep(Duration::from_secs(1)) => region.look(|world| note(world, &mut lowest)),
            }
        }
    };
    let report = ran.report.ok_or(MeasureError::NoReport)?;
    if let Some(violation) = rollout.violations(&report).first() {
        return Err(MeasureError::Unsound(format!("a rule was broken: {violation}")));
    }
    if let Some(what) = rollout.region.unknown().first() {
        return Err(MeasureError::Unsound(format!("not modelled: {what}")));
    }
    let mut by_outcome: BTreeMap<&'static str, usize> = BTreeMap::new();
    for instance in report.clusters.iter().flat_map(|cluster| &cluster.instances) {
        *by_outcome.entry(instance.outcome.as_str()).or_default() += 1;
    }
    let percent = lowest.values().map(|(least, desired)| least * 100 / (*desired).max(1)).min().unwrap_or(100);
    let (launched, ended) = region.look(|world| {
        let groups = ["group-a", "group-b", "group-c"].into_iter().filter_map(|name| world.size_of(name));
        groups.fold((0, 0), |(launched, ended), size| (launched + size.launched, ended + size.scaled_in))
    });
    Ok(Figures {
        took: ran.took,
        updated: by_outcome.get(Outcome::Updated.as_str()).copied().unwrap_or(0),
        by_outcome,
        launched,
        ended,
        lowest_percent: percent,
        below: lowest.into_iter().filter(|(_, (least, desired))| least < desired).collect(),
    })
}

/// Notes how many tasks of each service are healthy, where they were never fewer.
fn note(world: &World, lowest: &mut BTreeMap<String, (u32, u32)>) {
    for service in world.services().iter().filter(|service| service.kind == ServiceKind::Replica) {
        let healthy = service.tasks.iter().filter(|task| world.tasks()[**task].is_healthy(world.now())).count();
        let healthy = u32::try_from(healthy).unwrap_or(u32::MAX);
        let known = lowest.entry(service.name.clone()).or_insert((healthy, service.desired));
        known.0 = known.0.min(healthy);
    }
}
