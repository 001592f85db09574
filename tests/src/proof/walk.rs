//! A scenario drawn by a seed: how many hosts of which kind, what runs on them, what goes wrong, when runs die, and what
//! people do meanwhile.
//!
//! It is drawn as the TOML of a scenario file, so that one that fails can be kept as it is. What disturbs is over before
//! the last run, which must then bring everything to an end; but for a third of the seeds and some more, where something stays
//! broken: there the last run must end and name everything.

mod absent;
mod alarms;
mod bridges;
mod clocks;
mod endless;
mod gates;
mod groups;
mod hooks;
mod kept;
mod min_sizes;
mod outages;
mod paces;
mod parts;
mod refusals;
mod rights;
mod rooms;
mod selections;
mod shares;
mod steered;
mod told;
mod versions;
mod way_backs;

use toml::{Table, Value};

use crate::dice::Dice;

/// The scenario of a seed.
pub fn draw(seed: u64) -> Table {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "walk", throws: 0 };
    let size = draw.pick(&[2, 3, 3, 4, 5, 6, 8]);
    let mut scenario = Table::new();
    set(&mut scenario, "about", format!("Seed {seed} of the random walk."));
    set(&mut scenario, "seed", i64::try_from(seed).unwrap_or(i64::MAX));
    set(&mut scenario, "clusters", vec!["web"]);
    set(&mut scenario, "region", region(&mut draw));
    set(&mut scenario, "repository", repository(&mut draw));
    let group = [("count", Value::from(size)), ("zones", zones(&mut draw)), ("version", "1.26.1".into())];
    set(&mut scenario, "instances", vec![table(group)]);
    set(&mut scenario, "host", some_hosts(&mut draw, size));
    let (services, names) = services(&mut draw, size);
    set(&mut scenario, "service", services);
    set(&mut scenario, "task", tasks(&mut draw, size));
    set(&mut scenario, "event", events(&mut draw, size, &names));
    set(&mut scenario, "fault", faults(&mut draw));
    set(&mut scenario, "updater", table([("defaults", Value::Table(policy(&mut draw)))]));
    set(&mut scenario, "expect", table([("run", Value::Array(runs(&mut draw)))]));
    match draw.between(0, 9) {
        0..=5 => {}
        6..=8 => bridges::add(&mut draw, &mut scenario, size, 0),
        _ => bridges::add(&mut draw, &mut scenario, size, 40),
    }
    absent::add(seed, &mut scenario, size);
    if seed % 3 == 2 {
        endless::add(seed, &mut scenario, size);
    }
    clocks::add(seed, &mut scenario);
    outages::add(seed, &mut scenario, size);
    refusals::add(seed, &mut scenario, size);
    rights::add(seed, &mut scenario, size);
    gates::add(seed, &mut scenario, size);
    paces::add(seed, &mut scenario, size);
    selections::add(seed, &mut scenario, size);
    versions::add(seed, &mut scenario, size);
    steered::add(seed, &mut scenario, size);
    way_backs::add(seed, &mut scenario, size);
    alarms::add(seed, &mut scenario);
    groups::add(seed, &mut scenario, size);
    min_sizes::add(seed, &mut scenario, size);
    rooms::add(seed, &mut scenario);
    told::add(seed, &mut scenario);
    kept::add(seed, &mut scenario);
    hooks::add(seed, &mut scenario);
    parts::add(seed, &mut scenario, size);
    shares::add(seed, &mut scenario);
    scenario.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
    scenario
}

/// Whether something stays broken in a drawn scenario.
pub fn stays_broken(scenario: &Table) -> bool {
    scenario.get("expect").and_then(|expect| expect.get("disturbed")?.as_bool()) == Some(true)
}

/// How the hosts of a drawn scenario are reached: `ssm`, `bridge` or `auto`.
pub fn transport(scenario: &Table) -> &str {
    let defaults = scenario.get("updater").and_then(|updater| updater.get("defaults"));
    defaults.and_then(|defaults| defaults.get("host")?.as_str()).unwrap_or("ssm")
}

/// From when on nothing disturbs any more.
const CALM: &str = "2h";

struct Draw {
    dice: Dice,
    purpose: &'static str,
    throws: u64,
}

impl Draw {
    /// A number from `low` to `high`, both included.
    fn between(&mut self, low: i64, high: i64) -> i64 {
        self.throws += 1;
        let span = u64::try_from(high - low).unwrap_or(0);
        low + i64::try_from(self.dice.between(self.purpose, self.throws, 0, span)).unwrap_or(0)
    }

    fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 99) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let index = self.between(0, i64::try_from(of.len()).unwrap_or(1) - 1);
        of[usize::try_from(index).unwrap_or(0)]
    }

    fn minutes(&mut self, low: i64, high: i64) -> String {
        format!("{}s", self.between(low * 60, high * 60))
    }
}

fn set(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key.to_owned(), value.into());
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn zones(draw: &mut Draw) -> Value {
    draw.pick(&[&["a", "b", "c"][..], &["a", "b"], &["a"]]).to_vec().into()
}

fn region(draw: &mut Draw) -> Table {
    let mut region = Table::new();
    let switches: [(i64, &str, Value); 12] = [
        (20, "agent_flap_every", "10m".into()),
        (15, "draining_survives", false.into()),
        (15, "attributes_survive", false.into()),
        (15, "new_arn_after_rollback", true.into()),
        (15, "drain_honours_protection", true.into()),
        (15, "send_to_connection_lost", false.into()),
        (25, "tags_lag", draw.pick(&["2s", "5s", "8s"]).into()),
        (25, "lists_lag", draw.pick(&["2s", "5s", "8s"]).into()),
        (15, "ssm_loses", draw.pick(&[2_i64, 10]).into()),
        (15, "ssm_forgets", draw.pick(&[2_i64, 10]).into()),
        (15, "ssm_late", draw.pick(&["10s", "50s"]).into()),
        (10, "agent_lost_after", "20s".into()),
    ];
    for (percent, key, value) in switches {
        if draw.chance(percent) {
            set(&mut region, key, value);
        }
    }
    region
}

fn repository(draw: &mut Draw) -> Table {
    let release = |version: &str| table([("version", version.into())]);
    let mut newest = release("1.27.0");
    if draw.chance(15) {
        let wave = table([("bound", 1024.into()), ("opens_at", "+40m".into())]);
        set(&mut newest, "waves", vec![wave]);
    }
    let mut releases = vec![newest, release("1.26.1"), release("1.26.0")];
    if draw.chance(20) {
        releases.insert(0, release("1.28.0"));
    }
    let mut repository = table([("releases", releases.into())]);
    if draw.chance(5) {
        set(&mut repository, "missing_migrations", vec![Value::from(vec!["1.26.0", "1.27.0"])]);
    }
    repository
}

/// What is special about single hosts: an older version, a way of failing, somebody's hand on it.
fn some_hosts(draw: &mut Draw, size: i64) -> Vec<Table> {
    let mut hosts = Vec::new();
    for index in 0..size {
        if !draw.chance(45) {
            continue;
        }
        let mut host = table([("index", index.into())]);
        for _ in 0..draw.between(1, 2) {
            special(draw, &mut host);
        }
        hosts.push(host);
    }
    hosts
}

fn special(draw: &mut Draw, host: &mut Table) {
    let newer = draw.pick(&["1.27.0", "1.27.0", "1.28.0"]);
    let times = draw.between(1, 3);
    match draw.between(0, 20) {
        0 | 1 => set(host, "fails_to_boot", vec![newer]),
        2 => set(host, "agent_dead_on", vec![newer]),
        3 => set(host, "never_boots_on", vec![newer]),
        4 => set(host, "ssm_away_on", vec![newer]),
        5 => set(host, "reboot_inhibited", times),
        6 => set(host, "refresh_fails", times),
        7 => set(host, "prepare_fails", times),
        8 => set(host, "activate_fails", times),
        9 => set(host, "workers_killed", times),
        10 => set(host, "version_lock", draw.pick(&["1.26.1", "1.27.0"])),
        11 => set(host, "draining", true),
        12 => set(host, "tags", table([("ecs-updater:exclude", "not now".into())])),
        13 => set(host, "ssm_away", true),
        14 => set(host, draw.pick(&["external", "lockdown"]), true),
        15 => set(host, draw.pick(&["bottlerocket", "in_place_updates", "connected"]), false),
        16 => set(host, "durations", table([("shutdown", draw.pick(&["1s", "120s", "290s"]).into())])),
        17 => set(host, "version", draw.pick(&["1.26.0", "1.27.0"])),
        18 => set(host, "agent_start_delay", draw.pick(&["2s", "90s", "400s"])),
        19 => set(host, "update_seed", draw.pick(&[0_i64, 2047])),
        _ => set(host, "tags", table([("ecs-updater:failed", newer.into())])),
    }
}

fn services(draw: &mut Draw, size: i64) -> (Vec<Table>, Vec<String>) {
    let (mut services, mut names) = (Vec::new(), Vec::new());
    for index in 0..draw.between(1, 3) {
        let name = format!("service-{index}");
        let mut service = table([("name", name.as_str().into())]);
        if draw.chance(20) {
            set(&mut service, "kind", "DAEMON");
        } else {
            names.push(name);
            set(&mut service, "desired", draw.between(1, 2 * size));
            set(&mut service, "min_percent", draw.pick(&[0_i64, 50, 50, 100, 100]));
            set(&mut service, "max_percent", draw.pick(&[100_i64, 150, 200, 200]));
            if draw.chance(15) {
                set(&mut service, "host_port", 8000 + index);
            }
            if draw.chance(15) {
                set(&mut service, "protected", 1);
                set(&mut service, "protected_for", draw.pick(&["5m", "30m"]));
            }
        }
        set(&mut service, "cpu", draw.pick(&[64_i64, 256, 512]));
        set(&mut service, "memory", draw.pick(&[128_i64, 512, 2048]));
        set(&mut service, "stop_time", draw.pick(&["1s", "5s", "25s", "90s"]));
        set(&mut service, "stop_timeout", draw.pick(&["30s", "120s"]));
        services.push(service);
    }
    (services, names)
}

fn tasks(draw: &mut Draw, size: i64) -> Vec<Table> {
    let mut tasks = Vec::new();
    for index in 0..draw.pick(&[0, 0, 0, 1, 2]) {
        let mut task = table([("family", format!("task-{index}").into()), ("host", draw.between(0, size - 1).into())]);
        if draw.chance(50) {
            set(&mut task, "ends_at", draw.minutes(1, 60));
        }
        tasks.push(task);
    }
    tasks
}

fn events(draw: &mut Draw, size: i64, services: &[String]) -> Vec<Table> {
    let mut events = Vec::new();
    for _ in 0..draw.pick(&[0, 0, 1, 1, 2, 4]) {
        let mut event = Table::new();
        let host = draw.between(0, size - 1);
        if draw.chance(40) {
            set(&mut event, "at", draw.minutes(0, 45));
        } else {
            let points = ["claimed", "staged", "draining", "drained", "activated", "rebooting", "booted", "active"];
            let of = if draw.chance(60) { host } else { draw.between(0, size - 1) };
            set(&mut event, "when", table([("host", of.into()), ("is", draw.pick(&points).into())]));
            set(&mut event, "after", format!("{}s", draw.pick(&[0, 1, 5, 20, 60])));
        }
        let what = draw.between(0, 15);
        let action = match what {
            0 | 1 => "drain",
            2 | 3 => "activate",
            4 => "terminate",
            5 => "replace",
            6 | 7 => "reboot",
            8 | 9 => "tag",
            10 => "disconnect",
            11 => "scale",
            12 => "deploy",
            13 => "repository_down",
            14 => "deregister",
            _ => "stop",
        };
        set(&mut event, "do", action);
        match action {
            "scale" | "deploy" => match services.first() {
                Some(name) => set(&mut event, "service", name.as_str()),
                None => continue,
            },
            "repository_down" => {}
            _ => set(&mut event, "host", host),
        }
        match action {
            "scale" => set(&mut event, "count", draw.between(0, 2 * size)),
            "disconnect" => set(&mut event, "for", draw.pick(&["5s", "60s", "400s"])),
            "tag" => {
                set(&mut event, "key", "ecs-updater:exclude");
                set(&mut event, "value", "a person's wish");
            }
            _ => {}
        }
        events.push(event);
        if action == "repository_down" {
            let mut up = table([("at", draw.minutes(46, 60).into())]);
            set(&mut up, "do", "repository_up");
            events.push(up);
        }
    }
    events
}

fn faults(draw: &mut Draw) -> Vec<Table> {
    let operations = [
        "*",
        "ecs:*",
        "ec2:*",
        "ssm:*",
        "ecs:UpdateContainerInstancesState",
        "ecs:DescribeContainerInstances",
        "ecs:ListContainerInstances",
        "ecs:DescribeTasks",
        "ecs:ListTasks",
        "ec2:CreateTags",
        "ec2:DeleteTags",
        "ec2:DescribeInstances",
        "ssm:SendCommand",
        "ssm:ListCommandInvocations",
    ];
    let mut faults = Vec::new();
    for _ in 0..draw.pick(&[0, 0, 1, 2, 3]) {
        let mut fault = table([("operation", draw.pick(&operations).into())]);
        if draw.chance(75) {
            set(&mut fault, "percent", draw.pick(&[2_i64, 10, 30]));
        } else {
            let nth: Vec<i64> = (0..draw.between(1, 4)).map(|_| draw.between(2, 30)).collect();
            set(&mut fault, "nth", nth);
        }
        set(&mut fault, "from", draw.minutes(0, 30));
        set(&mut fault, "until", draw.minutes(31, 90));
        match draw.between(0, 9) {
            0 => set(&mut fault, "error", "ThrottlingException"),
            1 => set(&mut fault, "error", "ExpiredTokenException"),
            2 => set(&mut fault, "error", "ServerException"),
            3 => set(&mut fault, "status", 503),
            4 => set(&mut fault, "reset", "before"),
            5 | 6 => set(&mut fault, "reset", "after"),
            7 => set(&mut fault, "malformed", true),
            8 => set(&mut fault, "delay", draw.pick(&["3s", "12s", "30s"])),
            _ => {
                set(&mut fault, "fails", draw.between(1, 2));
                set(&mut fault, "reason", draw.pick(&["MISSING", "INACTIVE", "UNKNOWN"]));
            }
        }
        faults.push(fault);
    }
    faults
}

fn policy(draw: &mut Draw) -> Table {
    let budget: Value = match draw.between(0, 4) {
        0 | 1 => 1.into(),
        2 => 2.into(),
        3 => 3.into(),
        _ => "34%".into(),
    };
    let mut policy = table([
        ("max_unavailable", budget),
        ("standalone_tasks", draw.pick(&["skip", "wait", "stop"]).into()),
        ("stop_after_failures", "never".into()),
    ]);
    if draw.chance(20) {
        set(&mut policy, "stop_after_failures", draw.between(1, 2));
    }
    if draw.chance(25) {
        set(&mut policy, "target", draw.pick(&["1.27.0", "1.27.0", "1.26.1"]));
    }
    if draw.chance(10) {
        set(&mut policy, "max_duration", draw.pick(&["10m", "30m"]));
    }
    set(&mut policy, "timeouts", table([("drain", draw.pick(&["4m", "10m", "20m"]).into())]));
    policy
}

/// Some that die, one that does not have to, and one in the calm after it.
fn runs(draw: &mut Draw) -> Vec<Value> {
    let mut runs = Vec::new();
    for _ in 0..draw.pick(&[0, 0, 1, 1, 2]) {
        let key = draw.pick(&["before_call", "after_call"]);
        let mut run = table([("kill", table([(key, draw.between(1, 250).into())]).into())]);
        set(&mut run, "after", draw.pick(&["0s", "30s", "5m"]));
        runs.push(run.into());
    }
    runs.push(table([("after", draw.pick(&["0s", "30s", "5m"]).into())]).into());
    runs.push(table([("not_before", CALM.into()), ("after", "10m".into())]).into());
    runs
}
