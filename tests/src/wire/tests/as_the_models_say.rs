//! What the API models of AWS take and refuse, as any client meets it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SCENARIO, ec2, ecs, ecs_error, region, ssm};

fn id(host: usize) -> String {
    format!("i-{host:017}")
}

#[tokio::test(start_paused = true)]
async fn tags_are_checked_before_any_is_written() {
    let region = region("[[instances]]\nasg = \"web\"\ntags = { own = \"1\" }");
    let on = format!("ResourceId.1={}", id(0));
    for (form, words) in [
        (format!("Action=CreateTags&{on}"), "You must specify one or more tags to create"),
        (
            format!("Action=CreateTags&{on}&Tag.1.Key=k&Tag.1.Value=1&Tag.2.Key=k&Tag.2.Value=2"),
            "Duplicate tag key &apos;k&apos; specified.",
        ),
        (format!("Action=CreateTags&{on}&Tag.1.Key=k&Tag.1.Value=1&Tag.2.Key=aws%3Ax&Tag.2.Value=2"), "reserved"),
        (format!("Action=CreateTags&{on}&Tag.1.Key=&Tag.1.Value=1"), "Tag key cannot be null or empty"),
        (format!("Action=DeleteTags&{on}&Tag.1.Key=own&Tag.2.Key=aws%3Aautoscaling%3AgroupName"), "reserved"),
    ] {
        let (status, body) = ec2(&region, &form).await;
        assert!(status == 400 && body.contains("<Code>InvalidParameterValue</Code>"), "{form}: {body}");
        assert!(body.contains(words), "{form}: {body}");
    }
    let tags = region.snapshot_of(0).unwrap().tags;
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["aws:autoscaling:groupName", "own"], "nothing has changed");
    assert!(region.unknown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn status_is_filtered_as_the_model_says() {
    let text = "[[instances]]\ncount = 3\nzones = [\"a\", \"b\", \"c\"]\n[[event]]\nat = \"10s\"\ndo = \"stop\"\nhost = 2\n\
                [[event]]\nat = \"70s\"\ndo = \"start\"\nhost = 2";
    let region = region(text);
    tokio::time::sleep(Duration::from_secs(80)).await;
    for (name, value, passed) in [
        ("instance-status.status", "ok", 2),
        ("instance-status.status", "initializing", 1),
        ("system-status.status", "init*", 1),
        ("instance-status.reachability", "passed", 2),
        ("system-status.reachability", "initializing", 1),
        ("instance-state-name", "running", 3),
        ("instance-state-code", "16", 3),
        ("instance-state-code", "80", 0),
        ("availability-zone", "*b", 1),
        ("event.code", "*", 0),
        ("operator.managed", "false", 3),
    ] {
        let form = format!("Action=DescribeInstanceStatus&Filter.1.Name={name}&Filter.1.Value.1={value}");
        let (status, body) = ec2(&region, &form).await;
        assert_eq!((status, body.matches("<instanceId>").count()), (200, passed), "{name}={value}: {body}");
    }
    assert!(region.unknown().is_empty());
    for name in ["instance-id", "tag%3AName", "odd"] {
        let form = format!("Action=DescribeInstanceStatus&Filter.1.Name={name}&Filter.1.Value.1=x");
        let (_, body) = ec2(&region, &form).await;
        assert!(body.contains("<Code>InvalidParameterValue</Code>") && body.contains("is invalid"), "{name}: {body}");
    }
    let (_, body) = ec2(&region, "Action=DescribeInstanceStatus&Filter.1.Name=availability-zone-id").await;
    assert!(body.contains("SimulatorUnknownParameter"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_says_whether_its_metadata_has_its_tags() {
    let region = region("[[instances]]\ncount = 2\n[[host]]\nindex = 1\nmetadata_tags = false");
    for (host, state) in [(0, "enabled"), (1, "disabled")] {
        let (_, body) = ec2(&region, &format!("Action=DescribeInstances&InstanceId.1={}", id(host))).await;
        assert!(body.contains(&format!("<instanceMetadataTags>{state}</instanceMetadataTags>")), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn enums_are_checked() {
    let region = region(SCENARIO);
    let arn = region.snapshot_of(0).unwrap().container_instance;
    let tasks = ecs(&region, "ListTasks", json!({ "cluster": "web" })).await["taskArns"].clone();
    for (operation, name, odd, known, more) in [
        ("ListTasks", "launchType", json!("ODD"), json!("MANAGED_INSTANCES"), json!({})),
        ("ListTasks", "desiredStatus", json!("running"), json!("RUNNING"), json!({})),
        ("ListServices", "launchType", json!("ODD"), json!("EC2"), json!({})),
        ("ListServices", "schedulingStrategy", json!("ODD"), json!("DAEMON"), json!({})),
        ("ListContainerInstances", "status", json!("INACTIVE"), json!("DRAINING"), json!({})),
        (
            "DescribeContainerInstances",
            "include",
            json!(["ODD"]),
            json!(["TAGS"]),
            json!({ "containerInstances": [arn] }),
        ),
        ("DescribeTasks", "include", json!(["ODD"]), json!(["TAGS"]), json!({ "tasks": tasks })),
        ("DescribeServices", "include", json!(["ODD"]), json!(["TAGS"]), json!({ "services": ["shop"] })),
    ] {
        let body = |value: Value| {
            let mut body = more.clone();
            body["cluster"] = json!("web");
            body[name] = value;
            body
        };
        assert_eq!(ecs_error(&region, operation, body(odd)).await, "InvalidParameterException", "{operation} {name}");
        ecs(&region, operation, body(known)).await;
    }
    assert_eq!(
        ecs_error(&region, "DescribeClusters", json!({ "include": ["ODD"] })).await,
        "InvalidParameterException"
    );
    assert!(region.unknown().is_empty());
    let settings = json!({ "clusters": ["web"], "include": ["SETTINGS"] });
    assert_eq!(ecs_error(&region, "DescribeClusters", settings).await, "SimulatorUnknownParameter");
}

#[tokio::test(start_paused = true)]
async fn started_by_is_the_only_filter() {
    let region =
        region("[[instances]]\ncluster = \"web\"\n[[task]]\nfamily = \"batch\"\nhost = 0\nstarted_by = \"cron\"");
    let list = |more: Value| {
        let mut body = json!({ "cluster": "web", "startedBy": "cron", "maxResults": 10 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(ecs(&region, "ListTasks", list(json!({}))).await["taskArns"].as_array().unwrap().len(), 1);
    let arn = region.snapshot_of(0).unwrap().container_instance;
    for more in [
        json!({ "family": "batch" }),
        json!({ "desiredStatus": "RUNNING" }),
        json!({ "launchType": "EC2" }),
        json!({ "containerInstance": arn }),
    ] {
        assert_eq!(ecs_error(&region, "ListTasks", list(more)).await, "InvalidParameterException");
    }
}

#[tokio::test(start_paused = true)]
async fn send_command_checks_what_it_is_given() {
    let region = region(SCENARIO);
    let send = |more: Value| {
        let mut body = json!({ "DocumentName": "EcsUpdater-Inspect", "InstanceIds": [id(0), id(1)] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, error) in [
        (json!({ "InstanceIds": [id(0), id(1), id(0)] }), "DuplicateInstanceId"),
        (json!({ "MaxConcurrency": "0" }), "ValidationException"),
        (json!({ "MaxConcurrency": "101%" }), "ValidationException"),
        (json!({ "MaxErrors": "few" }), "ValidationException"),
        (json!({ "DocumentVersion": "2" }), "InvalidDocumentVersion"),
        (
            json!({ "DocumentName": "arn:aws:ssm:eu-central-1:111122223333:document/EcsUpdater-Inspect" }),
            "InvalidDocument",
        ),
        (
            json!({ "DocumentName": "arn:aws:ssm:eu-west-1:123456789012:document/EcsUpdater-Inspect" }),
            "InvalidDocument",
        ),
        (json!({ "DocumentName": "arn:aws:ssm:eu-central-1::document/EcsUpdater-Inspect" }), "InvalidDocument"),
    ] {
        assert_eq!(ssm(&region, "SendCommand", send(more.clone())).await.unwrap_err(), error, "{more}");
    }
    for (asked, told) in [(json!({}), "$DEFAULT"), (json!({ "DocumentVersion": "$LATEST" }), "$LATEST")] {
        let sent = ssm(&region, "SendCommand", send(asked)).await.unwrap();
        assert_eq!(sent["Command"]["DocumentVersion"], told);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let get = json!({ "CommandId": sent["Command"]["CommandId"], "InstanceId": id(0) });
        assert_eq!(ssm(&region, "GetCommandInvocation", get).await.unwrap()["DocumentVersion"], told);
    }
    for name in [
        "arn:aws:ssm:eu-central-1:123456789012:document/EcsUpdater-Inspect",
        "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript",
    ] {
        let body = send(json!({ "DocumentName": name, "Parameters": parameters_of(name) }));
        ssm(&region, "SendCommand", body).await.unwrap();
    }
    assert!(region.unknown().is_empty());
}

fn parameters_of(document: &str) -> Value {
    if document.ends_with("AWS-RunShellScript") { json!({ "commands": ["apiclient get os"] }) } else { json!({}) }
}

#[tokio::test(start_paused = true)]
async fn a_command_goes_to_so_many_hosts_at_once_and_stops_after_errors() {
    let statuses = async |max_errors: &str, failing: bool| {
        let region = region(SCENARIO);
        let script = if failing { json!(["exit 3"]) } else { json!(["apiclient update check"]) };
        let body = json!({
            "DocumentName": "AWS-RunShellScript", "InstanceIds": [id(0), id(1), id(2)],
            "Parameters": { "commands": script }, "MaxConcurrency": "1", "MaxErrors": max_errors,
        });
        let command = ssm(&region, "SendCommand", body).await.unwrap()["Command"]["CommandId"].clone();
        let mut most = 0;
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let listed = ssm(&region, "ListCommandInvocations", json!({ "CommandId": command })).await.unwrap();
            let all = listed["CommandInvocations"].as_array().unwrap().clone();
            most = most.max(all.iter().filter(|one| one["Status"] == "InProgress").count());
        }
        let listed = ssm(&region, "ListCommandInvocations", json!({ "CommandId": command })).await.unwrap();
        let all = listed["CommandInvocations"].as_array().unwrap().clone();
        let ends: Vec<String> = all.iter().map(|one| one["StatusDetails"].as_str().unwrap().to_owned()).collect();
        (most, ends.join(" "))
    };
    assert_eq!(statuses("0", false).await, (1, "Success Success Success".to_owned()));
    assert_eq!(statuses("0", true).await.1, "Failed Terminated Terminated");
    assert_eq!(statuses("1", true).await.1, "Failed Failed Terminated");
    assert_eq!(statuses("100%", true).await.1, "Failed Failed Failed");
}

#[tokio::test(start_paused = true)]
async fn parameters_are_read_by_arn_version_and_label() {
    let region = region(
        "[parameters]\nplain = \"1\"\n\"/fleet/approved\" = [{ value = \"1.26.1\", labels = [\"old\"] }, { value = \"1.27.0\" }]",
    );
    let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter";
    for (name, value, version, selector) in [
        ("/fleet/approved".to_owned(), "1.27.0", 2, Value::Null),
        ("/fleet/approved:1".to_owned(), "1.26.1", 1, json!(":1")),
        ("/fleet/approved:old".to_owned(), "1.26.1", 1, json!(":old")),
        (format!("{arn}/fleet/approved"), "1.27.0", 2, Value::Null),
        (format!("{arn}/fleet/approved:old"), "1.26.1", 1, json!(":old")),
        (format!("{arn}/plain"), "1", 1, Value::Null),
        ("plain".to_owned(), "1", 1, Value::Null),
    ] {
        let read = ssm(&region, "GetParameter", json!({ "Name": name })).await.unwrap()["Parameter"].clone();
        assert_eq!((&read["Value"], &read["Version"], &read["Selector"]), (&json!(value), &json!(version), &selector));
        assert!(name.starts_with(arn) || name.starts_with(read["Name"].as_str().unwrap()), "{name}: {read}");
        assert!(read["ARN"].as_str().unwrap().ends_with(read["Name"].as_str().unwrap()), "{name}: {read}");
    }
    for (name, error) in [
        ("/fleet/approved:3", "ParameterVersionNotFound"),
        ("/fleet/approved:new", "ParameterVersionNotFound"),
        ("/plain", "ParameterNotFound"),
        ("arn:aws:ssm:eu-central-1:111122223333:parameter/plain", "ParameterNotFound"),
        ("", "ValidationException"),
    ] {
        assert_eq!(ssm(&region, "GetParameter", json!({ "Name": name })).await.unwrap_err(), error, "{name}");
    }
}
