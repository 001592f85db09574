//! Makes a scenario that fails smaller: what can go while it still fails goes, one after the other.

use toml::{Table, Value};

/// Lists whose entries can go.
const LISTS: [&str; 5] = ["fault", "event", "host", "task", "service"];
/// Tables whose keys can go.
const TABLES: [&str; 2] = ["region", "updater"];

/// The smallest scenario found that still `fails`, within so many tries.
pub fn shrink(scenario: &Table, tries: usize, fails: impl Fn(&Table) -> bool) -> Table {
    let mut smallest = scenario.clone();
    let mut left = tries;
    loop {
        let next = smaller(&smallest).into_iter().find(|candidate| {
            let try_it = left > 0;
            left = left.saturating_sub(1);
            try_it && fails(candidate)
        });
        match next {
            Some(next) => smallest = next,
            None => return smallest,
        }
    }
}

/// Every scenario that has one thing less.
fn smaller(scenario: &Table) -> Vec<Table> {
    let mut candidates = Vec::new();
    candidates.extend(without_a_run(scenario));
    for list in LISTS {
        let count = scenario.get(list).and_then(Value::as_array).map_or(0, Vec::len);
        candidates.extend((0..count).filter_map(|index| without_entry(scenario, list, index)));
    }
    for name in TABLES {
        let defaults = scenario.get(name).and_then(Value::as_table);
        for key in defaults.iter().flat_map(|table| table.keys()) {
            candidates.extend(changed(scenario, |scenario| scenario.get_mut(name)?.as_table_mut()?.remove(key)));
        }
    }
    let defaults = scenario.get("updater").and_then(|updater| updater.get("defaults")).and_then(Value::as_table);
    for key in defaults.iter().flat_map(|table| table.keys()) {
        candidates.extend(changed(scenario, |scenario| {
            scenario.get_mut("updater")?.get_mut("defaults")?.as_table_mut()?.remove(key)
        }));
    }
    candidates.extend(without_last_host(scenario));
    candidates
}

fn changed<T>(scenario: &Table, change: impl FnOnce(&mut Table) -> Option<T>) -> Option<Table> {
    let mut copy = scenario.clone();
    change(&mut copy).map(|_| copy)
}

fn without_entry(scenario: &Table, list: &str, index: usize) -> Option<Table> {
    changed(scenario, |scenario| {
        let entries = scenario.get_mut(list)?.as_array_mut()?;
        entries.remove(index);
        let empty = entries.is_empty();
        empty.then(|| scenario.remove(list));
        Some(())
    })
}

/// Without one of the runs before the last.
fn without_a_run(scenario: &Table) -> Vec<Table> {
    let runs =
        scenario.get("expect").and_then(|expect| expect.get("run")).and_then(Value::as_array).map_or(0, Vec::len);
    let without = |index: usize| {
        changed(scenario, |scenario| Some(scenario.get_mut("expect")?.get_mut("run")?.as_array_mut()?.remove(index)))
    };
    (0..runs.saturating_sub(1)).filter_map(without).collect()
}

/// With one host less; whatever names the last one goes with it.
fn without_last_host(scenario: &Table) -> Option<Table> {
    changed(scenario, |scenario| {
        let group = scenario.get_mut("instances")?.as_array_mut()?.first_mut()?.as_table_mut()?;
        let count = group.get("count")?.as_integer().filter(|count| *count > 1)?;
        group.insert("count".to_owned(), Value::Integer(count - 1));
        let names = |entry: &Value| {
            let number = |value: Option<&Value>| value.and_then(Value::as_integer) == Some(count - 1);
            number(entry.get("host"))
                || number(entry.get("index"))
                || number(entry.get("when").and_then(|when| when.get("host")))
        };
        for list in LISTS {
            if let Some(entries) = scenario.get_mut(list).and_then(Value::as_array_mut) {
                entries.retain(|entry| !names(entry));
                entries.iter_mut().for_each(|entry| forget(entry, count - 1));
            }
        }
        Some(())
    })
}

/// Takes a host from those that an event is for.
fn forget(entry: &mut Value, host: i64) {
    if let Some(hosts) = entry.get_mut("hosts").and_then(Value::as_array_mut) {
        hosts.retain(|one| one.as_integer() != Some(host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::walk;

    #[test]
    fn only_what_it_takes_to_fail_is_left() {
        let fails =
            |scenario: &Table| scenario.get("event").and_then(Value::as_array).is_some_and(|events| !events.is_empty());
        let scenario = (0..).map(walk::draw).find(|scenario| fails(scenario)).unwrap();
        let small = shrink(&scenario, 1_000, fails);
        assert_eq!(small["event"].as_array().unwrap().len(), 1);
        assert!(
            LISTS[2..]
                .iter()
                .chain(&["fault"])
                .all(|list| small.get(*list).is_none_or(|left| left.as_array().unwrap().is_empty())),
            "{small}"
        );
        assert_eq!(small["expect"]["run"].as_array().unwrap().len(), 1);
    }
}
