//! Which instances a person has selected, for good by `select` or for one run by `--instance` and `--skip`. Nothing is begun
//! on the others; what was begun there is finished.

use models::fleet::{FleetSnapshot, Instance};
use models::policy::Policy;
use models::query::{Known, Select, Subject};
use models::reason::HoldReason;
use models::selection::Selection;

/// Of a `select` so many characters are told.
const MAX_TOLD: usize = 200;

/// Returns why nothing is begun on an instance, where it is not selected.
pub(crate) fn not_selected(instance: &Instance, policy: &Policy, selection: &Selection) -> Option<HoldReason> {
    let why = if selection.skip.contains(&instance.host) {
        "it is named by --skip; a run that does not name it begins it".to_owned()
    } else if selection.only.as_ref().is_some_and(|only| !only.contains(&instance.host)) {
        "it is not among the instances that --instance names; a run that names it, or none, begins it".to_owned()
    } else {
        let select = policy.select.as_ref()?;
        let told = told(&select.to_string());
        match meets(instance, select) {
            Some(true) => return None,
            Some(false) => format!("it does not meet select = {told}; change select, or what it asks for"),
            None => format!("whether it meets select = {told} is not known, since EC2 has not told its tags"),
        }
    };
    Some(HoldReason::NotSelected { why })
}

/// Returns what to tell of a `select` that no instance of the cluster meets.
pub(crate) fn selects_none(fleet: &FleetSnapshot, policy: &Policy) -> Option<String> {
    let select = policy.select.as_ref()?;
    let mut registered = fleet.registered().peekable();
    registered.peek()?;
    let count = registered.clone().count();
    let is_met = registered.any(|one| meets(one, select) != Some(false));
    (!is_met)
        .then(|| format!("select = {} is met by no instance of {count}: nothing is begun", told(&select.to_string())))
}

/// Whether an instance meets an expression; `None` where that is not known.
pub(super) fn meets(instance: &Instance, select: &Select) -> Option<bool> {
    select.holds(|subject| known(instance, subject))
}

/// Whether a run has changed something on an instance, or is about to, that is to be finished all the same.
pub(crate) fn is_begun(instance: &Instance) -> bool {
    instance.claim().is_some() || instance.tags.saved_lock.is_some() || instance.command.is_some()
}

fn known<'a>(instance: &'a Instance, subject: &Subject) -> Known<'a> {
    match subject {
        Subject::Attribute(name) => Known::One(instance.attributes.get(name)),
        Subject::Ec2InstanceId => Known::One(Some(instance.host.as_str())),
        Subject::Tag(_) if instance.machine_state().is_none() => Known::Nothing,
        Subject::Tag(key) => Known::One(instance.tags.asked_for.get(key).map(String::as_str)),
        Subject::Provider => Known::One(instance.provider.as_deref()),
        Subject::TaskGroup
        | Subject::RunningTasksCount
        | Subject::AgentConnected
        | Subject::AgentVersion
        | Subject::RegisteredAt => Known::Nothing,
    }
}

fn told(select: &str) -> String {
    match select.char_indices().nth(MAX_TOLD) {
        Some((at, _)) => format!("{:?}", format!("{}…", &select[..at])),
        None => format!("{select:?}"),
    }
}
