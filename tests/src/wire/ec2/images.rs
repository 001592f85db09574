//! `DescribeImages`.

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::{text, wrap};
use super::matches_pattern;
use crate::world::World;

/// The images that can be seen: AWS's own, and what others have made public under such names.
pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    let ids = form.list("ImageId");
    let owners = form.list("Owner");
    let filters = form.filters();
    // None of them is deprecated.
    form.take("IncludeDeprecated");
    form.done("DescribeImages")?;
    if !ids.is_empty() {
        return Err(Failure::unknown("Parameter", "DescribeImages by ImageId is not modelled"));
    }
    if let Some(owner) = owners.iter().find(|owner| *owner != "amazon") {
        return Err(Failure::unknown("Parameter", format!("images of the owner {owner} are not modelled")));
    }
    let mut images = world.images();
    images.retain(|_, image| owners.is_empty() || image.by_aws);
    for filter in &filters {
        let passes = |value: &str| filter.values.iter().any(|pattern| matches_pattern(pattern, value));
        match filter.name.as_str() {
            "image-id" => images.retain(|id, _| passes(id)),
            "name" => images.retain(|_, image| passes(&image.name)),
            name => return Err(Failure::unknown("Parameter", format!("EC2 filter {name} is not modelled"))),
        }
    }
    let items = images.into_iter().map(|(id, image)| {
        let inner = text("imageId", id) + &text("name", image.name) + &text("imageState", "available");
        // Milliseconds, as EC2 writes them.
        let created = text("creationDate", format!("{:.3}", image.created));
        let alias = if image.by_aws { text("imageOwnerAlias", "amazon") } else { String::new() };
        wrap("item", inner + &text("imageType", "machine") + &text("isPublic", "true") + &created + &alias)
    });
    Ok(wrap("imagesSet", items.collect::<String>()))
}
