//! What is to be done about Auto Scaling groups that launch old instances.

use models::report::{GroupReport, LaunchReport};

/// Says what a group launches that is older than what it has, or why that is not known; nothing where all is well.
pub(super) fn drift(group: &GroupReport) -> Option<String> {
    let today = group.launches.as_ref().and_then(|launches| of_today(group, launches));
    let last = || group.oldest_launch().is_none().then(|| of_last(group)).flatten();
    let mut sentences: Vec<String> = today.or_else(last).into_iter().collect();
    let launches = group.launches.as_ref();
    if let Some(why) = launches.and_then(|launches| launches.unknown.as_ref()) {
        sentences.push(format!("What Auto Scaling group {} launches is not known in full ({why})", group.name));
    }
    if let Some(besides) = launches.and_then(|launches| launches.besides.as_ref()).filter(|_| group.drifts()) {
        sentences.push(format!("Auto Scaling group {} also launches {besides}", group.name));
    }
    (!sentences.is_empty()).then(|| sentences.join(". "))
}

fn of_today(group: &GroupReport, launches: &LaunchReport) -> Option<String> {
    let (oldest, newest) = (group.oldest_launch()?, group.newest.as_ref()?);
    let launch = launches.images.iter().find(|launch| launch.version.as_ref() == Some(oldest))?;
    (oldest < newest).then(|| {
        format!(
            "Auto Scaling group {} launches {} with {oldest}, from {}: of its instances ({}) {} run more than that or would be \
             updated to it (the newest {newest}), and would be old again once they are replaced, to be drained and rebooted at \
             the next run. Put a newer image into {}",
            group.name, launch.image, launch.from, group.instances, launches.ahead, launch.from
        )
    })
}

/// By the youngest instance, where what is launched today is not known.
fn of_last(group: &GroupReport) -> Option<String> {
    let (Some(image), Some(newest)) = (&group.image_version, &group.newest) else { return None };
    (image < newest).then(|| {
        format!(
            "Auto Scaling group {}: {}, launched last at {}, started from {} with {image}; its instances run {newest} or \
             would be updated to it. What it launches next starts from the image in its launch template, and is drained \
             and rebooted at the next run: put a newer image there",
            group.name, group.youngest, group.launched_at, group.image
        )
    })
}
