//! The help that people read, and what the command line refuses.

use clap::{CommandFactory, Parser};
use ecs_updater::args::{Cli, Command, LogFormat, Output};
use ecs_updater::config::Environment;
use ecs_updater::telemetry;
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
fn a_usage_error_exits_with_2() {
    for line in ["", "roll", "run --outptu json", "run -v --log-level debug", "run --output xml"] {
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
      run   Update the clusters' instances
      plan  Show what `run` would do, and change nothing
      help  Print this message or the help of the given subcommand(s)

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
          --no-progress              No live view, also on a terminal

    AWS:
          --region <REGION>      AWS Region [default: the profile's with --profile, else AWS_REGION]
          --profile <NAME>       Use the credentials and the Region of this profile, whatever the
                                 environment says
          --expect-account <ID>  Refuse to work in any AWS account but this one
          --endpoint-url <URL>   Endpoint for all AWS services, such as a simulator's [the SDK's own:
                                 AWS_ENDPOINT_URL]

    Exit codes: 0 success, 1 failures, 2 usage or configuration, 3 not permitted, not reachable or no
    such cluster, 4 interrupted. More with --help.
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
