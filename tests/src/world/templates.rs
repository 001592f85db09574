//! What Auto Scaling groups launch: their launch templates and launch configurations
//! (docs/facts/auto-scaling.md#what-a-group-launches).

use std::collections::BTreeSet;

use super::World;
use super::images::image_id;
use crate::host::HostSpec;
use crate::scenario::LaunchFrom;

/// A launch template, with one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LaunchTemplate {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The image; where a parameter names it, as it does today.
    pub(crate) image: String,
    pub(crate) parameter: Option<String>,
}

impl World {
    /// The names of all groups.
    pub(crate) fn group_names(&self) -> BTreeSet<String> {
        let of_machines = self.machines.iter().filter_map(|machine| machine.instance.asg.clone());
        let of_providers = self.providers.values().filter_map(|provider| provider.group.clone());
        of_machines.chain(self.groups.keys().cloned()).chain(of_providers).collect()
    }

    /// What the group launches; `None` for one that has no instance.
    pub(crate) fn launched_by(&self, group: &str) -> Option<HostSpec> {
        let like = self.like(group)?;
        let version = self.group(group).image.unwrap_or_else(|| like.version.clone());
        Some(HostSpec { version, previous_version: None, ..like })
    }

    fn like(&self, group: &str) -> Option<HostSpec> {
        let machine = self.machines.iter().find(|machine| machine.instance.asg.as_deref() == Some(group))?;
        Some(machine.launched_as.clone())
    }

    /// The image that the group launches.
    pub(crate) fn launch_image(&self, group: &str) -> Option<String> {
        self.launched_by(group).map(|host| image_id(&host))
    }

    /// Every launch template: one for each group, and one more where an override has its own.
    pub(crate) fn launch_templates(&self) -> Vec<LaunchTemplate> {
        let mut templates = Vec::new();
        for group in self.group_names() {
            let (Some(launched), Some(like)) = (self.launched_by(&group), self.like(&group)) else { continue };
            let spec = self.group(&group);
            let parameter = spec.from_parameter.then(|| {
                let arch = if launched.arch == "aarch64" { "arm64" } else { launched.arch.as_str() };
                format!("/aws/service/bottlerocket/{}/{arch}/latest/image_id", launched.variant)
            });
            let own = format!("{group}-own");
            let (its, others) = match spec.launch {
                LaunchFrom::Template => (&launched, None),
                LaunchFrom::OverrideTemplate => (&like, Some(&launched)),
                LaunchFrom::OverrideImage | LaunchFrom::Configuration => (&like, None),
            };
            let template = |name: String, host: &HostSpec| LaunchTemplate {
                id: template_id(&name),
                name,
                image: image_id(host),
                parameter: parameter.clone(),
            };
            templates.push(template(group.clone(), its));
            templates.extend(others.map(|host| template(own, host)));
        }
        templates
    }
}

/// One id for each name, the same in every run.
pub(crate) fn template_id(name: &str) -> String {
    // FNV-1a.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("lt-{hash:017x}")
}
