//! The instances that a capacity provider strategy lets a task be placed on. ECS chooses the provider of a task first, and
//! then looks for room on its instances alone (ECS developer guide, "Amazon ECS managed scaling behavior").

use models::fleet::{Instance, Service};

/// Returns the capacity provider that the service's task on this instance is replaced on: the same again, by which a strategy
/// keeps its shares. `None` where its strategy does not name it, or it has none.
pub(super) fn kept<'a>(service: &Service, on: &'a Instance) -> Option<&'a str> {
    on.provider.as_deref().filter(|provider| service.providers.contains(*provider))
}

/// Whether a task of the service, which is for this provider if any, may be placed on the instance.
pub(super) fn allows(service: &Service, kept: Option<&str>, to: &Instance) -> bool {
    let Some(provider) = to.provider.as_deref() else { return service.providers.is_empty() };
    match kept {
        Some(kept) => kept == provider,
        None => service.providers.is_empty() || service.providers.contains(provider),
    }
}

/// Returns where there must be room, for people.
pub(super) fn words(service: &Service, kept: Option<&str>) -> String {
    let names: Vec<&str> = match kept {
        Some(kept) => vec![kept],
        None => service.providers.iter().map(|name| name.as_str()).collect(),
    };
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" on an instance of capacity provider {one}"),
        several => format!(" on an instance of one of the capacity providers {}", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::fixtures::{at, instance, service};

    #[test]
    fn a_task_stays_with_its_provider() {
        let on = |provider: Option<&str>| Instance { provider: provider.map(Into::into), ..instance(0, None, at(0)) };
        let strategy = |names: &[&str]| Service {
            providers: names.iter().copied().map(Into::into).collect(),
            ..service("web", 2, 100, 200)
        };
        let both = strategy(&["a", "b"]);
        let of_launch_type = strategy(&[]);
        let table = [
            // The service, from where, to where; whether there is room; the words.
            (&of_launch_type, None, None, true, ""),
            (&of_launch_type, Some("a"), Some("b"), true, ""),
            (&both, Some("a"), Some("a"), true, " on an instance of capacity provider a"),
            (&both, Some("a"), Some("b"), false, " on an instance of capacity provider a"),
            (&both, Some("a"), None, false, " on an instance of capacity provider a"),
            (&both, None, Some("b"), true, " on an instance of one of the capacity providers a, b"),
            (&both, Some("c"), Some("b"), true, " on an instance of one of the capacity providers a, b"),
            (&both, Some("c"), Some("c"), false, " on an instance of one of the capacity providers a, b"),
            (&both, None, None, false, " on an instance of one of the capacity providers a, b"),
        ];
        for (service, from, to, expected, said) in table {
            let from = on(from);
            let kept = kept(service, &from);
            assert_eq!(allows(service, kept, &on(to)), expected, "{:?} {from:?} {to:?}", service.providers);
            assert_eq!(words(service, kept), said);
        }
    }
}
