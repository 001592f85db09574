//! What AWS shows of releases: an image for each variant and architecture, and the public parameter that names it.
//!
//! Images are of a Region and dated there; how long they come after the release, and whether they are there at all, is for
//! the scenario to say ([`ImageSpec`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use semver::Version;

use super::World;
use crate::host::{HostSpec, ImageSpec};

/// An image that can be seen from the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicImage {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    /// Whether it is one of AWS's own; else somebody has made it public.
    pub(crate) by_aws: bool,
}

impl World {
    /// All images that can be seen, by their ids: those of the releases, and those that machines were launched from. Named as
    /// the public parameter `image_name` names them.
    pub(crate) fn images(&self) -> BTreeMap<String, PublicImage> {
        let mut images = BTreeMap::new();
        for host in self.machines.iter().map(|machine| &machine.launched_as) {
            let by_aws = PublicImage { name: name(host), created: ImageSpec::LONG_AGO, by_aws: true };
            images.insert(image_id(host), by_aws);
        }
        for (host, image) in self.built() {
            let seen = |created, by_aws| PublicImage { name: name(&host), created, by_aws };
            if let Some(copied) = image.copied_at {
                images.insert(
                    image_id(&HostSpec { build_id: format!("{} copied", host.build_id), ..host.clone() }),
                    seen(copied, false),
                );
            }
            if image.is_there {
                images.insert(image_id(&host), seen(image.created(), true));
            }
        }
        images
    }

    /// The value of a public parameter of an image, and when it was last modified.
    pub(crate) fn public_parameter(&self, asked: &str) -> Option<(String, Timestamp)> {
        self.built().find_map(|(host, image)| {
            let arch = if host.arch == "aarch64" { "arm64" } else { host.arch.as_str() };
            let name = format!("/aws/service/bottlerocket/{}/{arch}/{}/image_id", host.variant, host.version);
            (name == asked && image.has_parameter).then(|| (image_id(&host), image.modified()))
        })
    }

    /// When this release was published on a host like this one, as AWS may tell it: by the image, and by the parameter.
    pub(crate) fn published(&self, like: &HostSpec, version: &Version) -> Vec<Timestamp> {
        let of_it = self
            .built()
            .filter(|(host, _)| host.version == *version && host.variant == like.variant && host.arch == like.arch);
        // What a machine was launched from is there too.
        let is_launched = self
            .machines
            .iter()
            .map(|machine| &machine.launched_as)
            .any(|host| host.version == *version && host.variant == like.variant && host.arch == like.arch);
        let launched = is_launched.then_some(ImageSpec::LONG_AGO);
        of_it
            .flat_map(|(_, image)| {
                let image_at = image.is_there.then(|| image.created());
                [image_at, image.has_parameter.then(|| image.modified())].into_iter().flatten().collect::<Vec<_>>()
            })
            .chain(launched)
            .collect()
    }

    /// The releases that are out, as a host of each kind that there is would be with them.
    fn built(&self) -> impl Iterator<Item = (HostSpec, ImageSpec)> + '_ {
        let kinds: BTreeMap<(&str, &str, &str), &HostSpec> = self
            .machines
            .iter()
            .map(|machine| &machine.launched_as)
            .map(|host| ((host.variant.as_str(), host.arch.as_str(), host.build_id.as_str()), host))
            .collect();
        let out =
            self.repository.releases.iter().filter(|release| release.published_at.is_none_or(|at| at <= self.now));
        out.flat_map(move |release| {
            let fits = |host: &&HostSpec| {
                release.variant.as_ref().is_none_or(|only| *only == host.variant)
                    && release.arch.as_ref().is_none_or(|only| *only == host.arch)
            };
            let image = ImageSpec { created_at: release.image.created_at.or(release.published_at), ..release.image };
            let hosts: Vec<&HostSpec> = kinds.values().copied().filter(fits).collect();
            hosts.into_iter().map(move |host| {
                (HostSpec { version: release.version.clone(), previous_version: None, ..host.clone() }, image)
            })
        })
    }
}

fn name(host: &HostSpec) -> String {
    format!("bottlerocket-{}-{}-v{}-{}", host.variant, host.arch, host.version, host.build_id)
}

/// One id for each image, the same in every run.
pub(crate) fn image_id(host: &HostSpec) -> String {
    let key = format!("{} {} {} {}", host.variant, host.arch, host.version, host.build_id);
    // FNV-1a.
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("ami-{hash:017x}")
}
