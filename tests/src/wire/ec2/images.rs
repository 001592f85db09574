//! `DescribeImages`.

use std::collections::BTreeMap;

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::{text, wrap};
use super::matches_pattern;
use crate::host::HostSpec;
use crate::world::World;

/// The images of Bottlerocket that the machines were launched from, which are all there are. Named as its public
/// parameter `image_name` names them.
pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("ImageId");
    let filters = form.filters();
    // None of them is deprecated.
    form.take("IncludeDeprecated");
    form.done("DescribeImages")?;
    if !ids.is_empty() {
        return Err(Failure::unknown("Parameter", "DescribeImages by ImageId is not modelled"));
    }
    let mut images = BTreeMap::new();
    for machine in &world.machines {
        let host = &machine.launched_as;
        let name = format!("bottlerocket-{}-{}-v{}-{}", host.variant, host.arch, host.version, host.build_id);
        images.insert(image_id(host), name);
    }
    for filter in &filters {
        if filter.name != "image-id" {
            return Err(Failure::unknown("Parameter", format!("EC2 filter {} is not modelled", filter.name)));
        }
        images.retain(|id, _| filter.values.iter().any(|pattern| matches_pattern(pattern, id)));
    }
    let item = |(id, name): (String, String)| {
        let inner = text("imageId", id) + &text("name", name) + &text("imageState", "available");
        wrap("item", inner + &text("imageType", "machine") + &text("isPublic", "true"))
    };
    Ok(wrap("imagesSet", images.into_iter().map(item).collect::<String>()))
}

/// One id for each image, the same in every run.
pub(super) fn image_id(host: &HostSpec) -> String {
    let key = format!("{} {} {} {}", host.variant, host.arch, host.version, host.build_id);
    // FNV-1a.
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("ami-{hash:017x}")
}
