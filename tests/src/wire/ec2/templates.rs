//! `DescribeLaunchTemplateVersions`.

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::{text, wrap};
use crate::world::World;

/// By the id or the name of a template, and the version.
pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    let (id, name) = (form.take("LaunchTemplateId"), form.take("LaunchTemplateName"));
    let versions = form.list("LaunchTemplateVersion");
    let resolves = form.take("ResolveAlias").is_some_and(|resolves| resolves == "true");
    form.done("DescribeLaunchTemplateVersions")?;
    if id.is_some() && name.is_some() {
        let message = "Only one of launch template ID or launch template name can be specified in the request.";
        return Err(Failure::new("InvalidParameterCombination", message));
    }
    let mut templates = world.launch_templates();
    let is_asked = |template: &crate::world::LaunchTemplate| {
        Some(&template.id) == id.as_ref() || Some(&template.name) == name.as_ref()
    };
    templates.retain(is_asked);
    let Some(template) = templates.first() else {
        let message = "At least one of the launch templates specified in the request does not exist.";
        return Err(Failure::new("InvalidLaunchTemplateId.NotFound", message));
    };
    if let Some(version) = versions.iter().find(|version| !["$Latest", "$Default", "1"].contains(&version.as_str())) {
        return Err(Failure::new("InvalidLaunchTemplateId.VersionNotFound", format!("no version {version}")));
    }
    let image = match &template.parameter {
        // The caller's own right.
        Some(_) if resolves && world.spec.deny.iter().any(|denied| denied == "ssm:GetParameters") => {
            let message = "You are not authorized to perform ssm:GetParameters on the parameter of the image.";
            return Err(Failure::new("UnauthorizedOperation", message));
        }
        Some(parameter) if !resolves => format!("resolve:ssm:{parameter}"),
        Some(_) | None => template.image.clone(),
    };
    let inner = text("launchTemplateId", &template.id)
        + &text("launchTemplateName", &template.name)
        + &text("versionNumber", "1")
        + &wrap("launchTemplateData", text("imageId", image));
    Ok(wrap("launchTemplateVersionSet", wrap("item", inner)))
}
