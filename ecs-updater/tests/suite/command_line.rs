//! The help that people read, and what the command line refuses.

use clap::{CommandFactory, Parser};
use ecs_updater::args::{Cli, Command, LogFormat, Output};
use ecs_updater::config::Environment;
use ecs_updater::telemetry;
use models::doctor::{DoctorReport, Severity};
use models::report::{ClusterErrorKind, RunReport};
use models::status::StatusReport;
use tracing::Level;

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn plan_is_a_dry_run() {
    let cases = [("plan", true), ("run", false), ("run --dry-run", true)];
    for (line, dry_run) in cases {
        assert_eq!(parse(&format!("{line} --cluster web")).command.dry_run(), dry_run, "{line}");
    }
}

#[test]
fn global_flags_stand_before_or_behind_the_command() {
    for line in [
        "--output json --log-format json --region eu-west-1 run",
        "run --output json --log-format json --region eu-west-1",
    ] {
        let cli = parse(line);
        assert_eq!((cli.global.output, cli.global.log_format), (Output::Json, LogFormat::Json));
        assert_eq!(cli.global.region.as_deref(), Some("eu-west-1"));
        assert!(matches!(cli.command, Command::Run(_)));
    }
}

#[test]
fn instances_are_named_for_a_run_and_for_a_plan() {
    for (line, only, skip) in [
        ("run --cluster web", 0, 0),
        ("run --instance i-01234567 i-89abcdef --cluster web", 2, 0),
        ("run --instance i-01234567,i-89abcdef --skip i-00000001 --dry-run", 2, 1),
        ("plan --instance i-01234567 --instance i-89abcdef", 2, 0),
        ("plan --skip 0123456789abcdef0123456789abcdef", 0, 1),
    ] {
        let named = parse(line).command.named();
        assert_eq!((named.only.len(), named.skip.len()), (only, skip), "{line}");
    }
}

#[test]
fn a_usage_error_exits_with_2() {
    for line in [
        "",
        "roll",
        "run --outptu json",
        "run -v --log-level debug",
        "run --output xml",
        "run --instance web-1",
        "run --skip",
    ] {
        let error = Cli::try_parse_from(std::iter::once("ecs-updater").chain(line.split_whitespace())).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn short_help_fits_a_screen_and_long_help_teaches() {
    insta::assert_snapshot!(Cli::command().render_help(), @r#"
    Rolls Bottlerocket OS updates through Amazon ECS clusters without losing a task

    Usage: ecs-updater [OPTIONS] <COMMAND>

    Commands:
      run            Update the clusters' instances
      plan           Show what `run` would do, and change nothing
      status         Show which instances are out of service, and what needs attention
      doctor         Check the prerequisites, host by host, and say what to do
      report         Show a saved report again: as a table, or as a page for a browser
      config         Check the settings and show where each comes from, without asking AWS
      finish         Finish what earlier runs began, and begin nothing new
      rollback       Take a release back: its instances return to the version before
      unskip         Let runs install a version again that `rollback` made them skip
      pause          Stop new updates on a cluster, until `resume`
      resume         Lift a pause
      release        Put one instance back into service without its update, as far as possible
      exclude        Keep runs off instances, until `include`
      include        Let runs update instances again
      forget-failed  Try versions again that failed on instances of a cluster
      completions    Print a completion script for a shell
      man            Print the manual page
      help           Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    Output:
          --output <OUTPUT>          How to print the report: a table for people or JSON for programs
                                     [default: table] [possible values: table, json]
          --log-format <LOG_FORMAT>  How to write logs, which go to standard error [default: text]
                                     [possible values: text, json]
          --log-level <LEVEL>        What to log: error, warn, info, debug, trace or off, or by module
                                     such as "warn,ecs_updater=debug"
      -v, --verbose...               Log more: -v the updater's details, -vv all of it, -vvv the AWS
                                     SDK's too
          --metrics <NAME>           Write metrics of each run to standard error in CloudWatch's
                                     embedded metric format, under this name
          --no-progress              No live view, also on a terminal

    AWS:
          --region <REGION>      AWS Region [default: the profile's with --profile, else AWS_REGION]
          --profile <NAME>       Use the credentials and the Region of this profile, whatever the
                                 environment says
          --expect-account <ID>  Refuse to work in any AWS account but this one
          --endpoint-url <URL>   Endpoint for all AWS services, such as a simulator's [the SDK's own:
                                 AWS_ENDPOINT_URL]

    Exit codes: 0 success, 1 failures, 2 usage or configuration, 3 not permitted, not reachable or no
    such cluster, 4 interrupted, 5 nothing updated (--fail-on-held). More with --help.
    "#);
    let long = Cli::command().render_long_help().to_string();
    for part in
        ["Examples:", "Exit codes:", "Environment:", "ECS_UPDATER_CONFIG", "AWS_ENDPOINT_URL", "--max-unavailable 10%"]
    {
        assert!(long.contains(part), "{part}");
    }
}

#[test]
fn log_levels() {
    let (sdk, ours) = ("aws_config", "ecs_updater::run");
    // Flags, ECS_UPDATER_LOG, whether the live view is shown, the module, its level, and whether that is logged.
    type Case<'a> = (&'a str, Option<&'a str>, bool, &'a str, Level, bool);
    let cases: [Case<'_>; 15] = [
        ("", None, false, ours, Level::INFO, true),
        ("", None, false, ours, Level::DEBUG, false),
        ("", None, false, sdk, Level::INFO, false),
        ("", None, true, ours, Level::INFO, false),
        ("", None, true, ours, Level::WARN, true),
        ("-v", None, false, ours, Level::DEBUG, true),
        ("-vv", None, false, ours, Level::TRACE, true),
        ("-vv", None, false, sdk, Level::DEBUG, false),
        ("-vvv", None, false, sdk, Level::TRACE, true),
        ("--log-level debug", Some("error"), false, ours, Level::DEBUG, true),
        ("--log-level debug", None, false, sdk, Level::INFO, false),
        ("", Some("error"), false, ours, Level::WARN, false),
        ("", Some("info, aws_config=debug"), true, sdk, Level::DEBUG, true),
        ("", Some(""), false, ours, Level::INFO, true),
        ("--log-level OFF", None, false, sdk, Level::ERROR, false),
    ];
    for (line, variable, live, target, level, expected) in cases {
        let environment = variable.map(|value| ("ECS_UPDATER_LOG".to_owned(), value.to_owned()));
        let environment: Environment = environment.into_iter().collect();
        let filter = telemetry::filter(&parse(&format!("run {line}")).global, &environment, live).unwrap();
        assert_eq!(filter.would_enable(target, &level), expected, "{line} {variable:?} {live} {target} {level}");
    }
}

#[test]
fn a_level_that_is_none_is_refused() {
    for level in ["verbose", "7", "ecs_updater=loud", "=debug"] {
        let cli = Cli::try_parse_from(["ecs-updater", "run", "--log-level", level]).unwrap();
        let error = telemetry::filter(&cli.global, &Environment::new(), false).unwrap_err();
        let expected =
            format!("log level {level:?} in flag --log-level must be error, warn, info, debug, trace or off");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(std::iter::once("ecs-updater").chain(line.split_whitespace())).unwrap()
}

/// Without a Region, without credentials, with an endpoint that is none: the message says which, and what to give.
#[test]
fn what_no_call_can_be_made_without_is_named() {
    const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");
    const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "none"), ("AWS_SECRET_ACCESS_KEY", "none")];
    const BAD_ENDPOINT: (&str, &str) = ("AWS_ENDPOINT_URL", "notaurl");
    let cases = [
        (vec![KEY[0], KEY[1]], "no Region is set: give --region NAME"),
        (vec![REGION], "no AWS credentials were found: give --profile NAME"),
        (vec![REGION, KEY[0], KEY[1], BAD_ENDPOINT], "an endpoint begins with http:// or https://"),
    ];
    let home = std::env::temp_dir();
    for (variables, words) in cases {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ecs-updater"))
            .args(["plan", "--cluster", "web"])
            .env_clear()
            .envs(variables)
            .env("HOME", &home)
            .env("AWS_CONFIG_FILE", home.join("there-is-none"))
            .env("AWS_SHARED_CREDENTIALS_FILE", home.join("there-is-none"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(words) && !said.contains("DispatchFailure"), "not {words:?}: {said}");
    }
}

/// A run without credentials, whose report names a cluster.
fn run_to_nowhere(line: &str) -> std::process::Command {
    let home = std::env::temp_dir();
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", line, env!("CARGO_BIN_EXE_ecs-updater")])
        .env_clear()
        .env("HOME", &home)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_CONFIG_FILE", home.join("there-is-none"))
        .env("AWS_SHARED_CREDENTIALS_FILE", home.join("there-is-none"))
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Standard output that is full, closed, or read by nobody any more: the report is on standard error, and the code tells. One that
/// was never open may be what somebody wants, so that the code is the run's.
#[test]
fn a_report_that_standard_output_does_not_take_is_kept() {
    let broken = "(sleep 1; \"$0\" CMD; echo code $? >&2) | true; wait";
    let table = [
        ("exec \"$0\" CMD >/dev/full", "run", "No space left on device", 1),
        ("exec \"$0\" CMD >/dev/full", "plan", "No space left on device", 1),
        ("exec \"$0\" CMD >&-", "run", "", 3),
        ("exec \"$0\" CMD >&-", "plan", "", 3),
        (broken, "run", "Broken pipe", 1),
    ];
    for (line, command, why, code) in table {
        let line = line.replace("CMD", &format!("{command} --cluster web --output json"));
        let output = run_to_nowhere(&line).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let is_code = output.status.code() == Some(code) || said.contains(&format!("\ncode {code}\n"));
        assert!(is_code, "{line}: {:?}: {said}", output.status);
        assert!(output.stdout.is_empty(), "{line}");
        let from = said.find("\n{\n").unwrap_or_else(|| panic!("{line}: no report in {said}"));
        let mut reports = serde_json::Deserializer::from_str(&said[from..]).into_iter::<RunReport>();
        assert_eq!(reports.next().unwrap().unwrap().clusters[0].cluster.as_str(), "web", "{line}");
        let is_told = said.contains("it stands on standard error, above this line");
        assert!(is_told != why.is_empty() && said.contains(why), "{line}: {said}");
    }
}

#[test]
fn a_report_stands_in_a_line_of_its_own_among_logs_in_json() {
    let line = "exec \"$0\" run --cluster web --log-format json >/dev/full";
    let said = String::from_utf8(run_to_nowhere(line).output().unwrap().stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let (last, logs) = lines.split_last().unwrap();
    assert!(last.starts_with("ecs-updater: the report could not be written"), "{said}");
    assert!(logs.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{said}");
    assert!(serde_json::from_str::<RunReport>(logs.last().unwrap()).is_ok(), "{said}");
}

/// A person who pages through a plan and leaves has read enough; and `/dev/null` is what somebody asked for.
#[test]
fn a_plan_whose_reader_is_gone_and_a_report_that_nobody_wants_are_no_failures() {
    let broken = "(sleep 1; \"$0\" plan --cluster web; echo code $? >&2) | true; wait";
    for line in [broken, "\"$0\" run --cluster web >/dev/null; echo code $? >&2"] {
        let output = run_to_nowhere(line).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("code 3") || output.status.code() == Some(3), "{line}: {said}");
        assert!(!said.contains("could not be written"), "{line}: {said}");
    }
}

/// Without a terminal each look is a line of its own in JSON, whatever AWS says, and a signal ends it well.
#[test]
fn a_watch_looks_again_and_ends_by_a_signal_with_zero() {
    use std::io::BufRead as _;
    let mut command = run_to_nowhere("exec \"$0\" status --watch=1s --cluster web --output json");
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let status: StatusReport = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let error = status.clusters[0].error.as_ref().unwrap();
        assert_eq!(error.kind, ClusterErrorKind::NotReachable);
    }
    let signal = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_status_that_could_not_be_read_ends_with_three_and_a_pace_that_is_none_with_two() {
    for (line, code) in [("status --cluster web", 3), ("status --cluster web --watch=0s", 2), ("status", 2)] {
        let output = run_to_nowhere(&format!("exec \"$0\" {line}")).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Without credentials a doctor says so, in JSON too, and ends as one that has reached no cluster.
#[test]
fn a_doctor_without_credentials_names_them() {
    for (line, code) in [("doctor --cluster web", 3), ("doctor --cluster web --output json", 3), ("doctor", 2)] {
        let output = run_to_nowhere(&format!("exec \"$0\" {line}")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said} {}", String::from_utf8_lossy(&output.stderr));
        if line.ends_with("json") {
            let report: DoctorReport = serde_json::from_str(&said).unwrap();
            let problem = &report.clusters[0].findings[0];
            assert_eq!((problem.id.as_str(), problem.severity), ("credentials", Severity::Problem), "{said}");
        }
    }
}

/// The metadata service refuses: one sentence says so, and what to do.
#[test]
fn a_metadata_service_that_refuses_is_one_sentence() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = "<html>\nno\n</html>";
            let _ = write!(stream, "HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    let mut command = run_to_nowhere("exec \"$0\" plan --cluster web");
    command.env_remove("AWS_EC2_METADATA_DISABLED").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    insta::assert_snapshot!(said.lines().nth(1).unwrap().trim(), @"cluster web: AWS gives no usable answer (ecs:DescribeClusters: an error occurred while loading credentials: failed to load IMDS session token: request forbidden: IMDS is disabled or the caller has insufficient permissions); the metadata service of this machine gives no credentials: check that it is on and that the instance has a role, or give --profile NAME");
}

#[test]
fn metrics_are_lines_in_json_whatever_is_logged() {
    for flags in ["--log-level off", "--log-format json", "--output json"] {
        let line = format!("exec \"$0\" run --cluster web --metrics mine {flags}");
        let output = run_to_nowhere(&line).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let metrics = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let named = metrics.filter(|line| line["_aws"].is_object() && line["Updater"] == "mine").count();
        assert_eq!(named, 2, "{flags}: of the cluster and of the run: {said}");
    }
    let output = run_to_nowhere("exec \"$0\" plan --cluster web --metrics mine").output().unwrap();
    assert!(!String::from_utf8(output.stderr).unwrap().contains("_aws"));
    let output = run_to_nowhere("exec \"$0\" run --cluster web --metrics 'a b'").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// What holds and where it comes from, in words and in JSON, without a Region, a credential or a network.
#[test]
fn settings_are_checked_without_aws() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "api_share = 0.25\nlease_table = \"leases\"\n[defaults]\nmin_age = \"7d\"\n[[cluster]]\nname = \"web\"\ntimeouts.drain = \"1h\"\n";
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    let line = format!("config check --config {path} --max-unavailable 2");
    let check = |line: &str| {
        let mut command = run_to_nowhere(&format!("exec \"$0\" {line}"));
        command.env_remove("AWS_REGION").env("ECS_UPDATER_SETTINGS", "zone = 'one-at-a-time'");
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said, String::from_utf8(output.stderr).unwrap())
    };
    let (code, said, _) = check(&line);
    assert_eq!(code, Some(0), "{said}");
    for (key, value, origin) in [
        ("lease_table =", "\"leases\"", "the top of FILE"),
        ("api_share =", "0.25", "the top of FILE"),
        ("max_unavailable", "2", "flag --max-unavailable"),
        ("zone", "\"one-at-a-time\"", "environment variable ECS_UPDATER_SETTINGS:1:1"),
        ("min_age", "\"7d\"", "[defaults] of FILE:4:1"),
        ("timeouts.drain", "\"1h\"", "[[cluster]] \"web\" of FILE:7:10"),
        ("timeouts.stage", "\"15m\"", "default"),
    ] {
        let words: Vec<String> =
            said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let wanted = format!("{key} {value} {}", origin.replace("FILE", &path));
        assert!(words.contains(&wanted), "no {wanted:?} in {said}");
    }
    let (code, said, _) = check(&format!("{line} --output json"));
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, json["clusters"][0]["cluster"].as_str()), (Some(0), Some("web")));
    assert_eq!(json["clusters"][0]["settings"][0]["origin"], "flag --max-unavailable");
    assert_eq!(json["api_share"]["value"], "0.25");
    let (_, said, _) = check(&format!("{line} --api-share 0.75"));
    assert!(said.contains("api_share = 0.75   flag --api-share\n"), "{said}");
    std::fs::write(file.path(), text.replace("1h", "1y")).unwrap();
    let (code, said, error) = check(&line);
    assert_eq!(code, Some(2), "{said} {error}");
    assert!(said.contains("`timeouts.drain` = \"1y\""), "{said}");
    let (code, _, error) = check("config check --config ssm:/fleet");
    assert!(code == Some(2) && error.contains("aws ssm get-parameter --name /fleet"), "{error}");
}

/// A Region that does not exist, and an endpoint where nobody listens: named, and told soon.
#[test]
fn who_cannot_be_reached_is_named_within_three_seconds() {
    use std::net::ToSocketAddrs as _;
    let looked_up = std::time::Instant::now();
    assert!(("ecs.nowhere.invalid", 80).to_socket_addrs().is_err());
    // A machine without a name server waits for one, and the program with it.
    let slow = looked_up.elapsed() * 2;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}");
    for (flags, words) in [
        ("--endpoint-url http://ecs.nowhere.invalid".to_owned(), "ecs.nowhere.invalid does not resolve".to_owned()),
        (format!("--endpoint-url {nobody}"), format!("127.0.0.1:{port} refuses connections")),
    ] {
        let began = std::time::Instant::now();
        let mut command = run_to_nowhere(&format!("exec \"$0\" run --cluster web {flags}"));
        let output = command.env("AWS_ACCESS_KEY_ID", "none").env("AWS_SECRET_ACCESS_KEY", "none").output().unwrap();
        let took = began.elapsed();
        let said = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&words) && said.contains("check the Region"), "not {words:?}: {said}");
        assert!(took.saturating_sub(slow).as_secs() < 3, "{took:?}");
    }
}

#[test]
fn shells_and_man_are_served() {
    for (line, words) in [
        ("completions bash", "_ecs__updater()"),
        ("completions zsh", "#compdef ecs-updater"),
        ("completions fish", "complete -c ecs-updater"),
        ("man", ".TH ecs-updater 1"),
    ] {
        let output = run_to_nowhere(&format!("exec \"$0\" {line}")).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains(words), "{line}: {said}");
    }
    let pages = tempfile::tempdir().unwrap();
    let output = run_to_nowhere(&format!("exec \"$0\" man --to {}", pages.path().display())).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(pages.path().join("ecs-updater-run.1")).unwrap();
    assert!(page.contains("Exit codes") && page.contains("max\\-unavailable"), "{page}");
}

/// Who looks for help at three in the morning finds examples, codes and variables where he is.
#[test]
fn the_help_of_run_teaches() {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("run").unwrap().render_long_help().to_string();
    for part in ["Examples:", "--instance i-", "Exit codes:", "Environment:", "ECS_UPDATER_CONFIG"] {
        assert!(help.contains(part), "{part}");
    }
    // What is laid out by hand fits a terminal of 80 columns, which would break it anywhere.
    for help in [help, Cli::command().render_long_help().to_string()] {
        let (_, by_hand) = help.split_once("Examples:").unwrap();
        let wide: Vec<&str> = by_hand.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
}
