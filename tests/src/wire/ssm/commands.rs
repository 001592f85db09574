//! `SendCommand`, `ListCommandInvocations` and `GetCommandInvocation` (docs/facts/ssm.md).

use std::collections::BTreeMap;

use jiff::SignedDuration;
use models::time::after;
use serde_json::{Value, json};

use super::super::ecs::time;
use super::super::failure::Failure;
use super::super::page::{self, Page};
use super::super::params::Params;
use super::limits::{self, Rates};
use super::page_size;
use crate::documents::Script;
use crate::scenario::{DocumentSpec, KnownDocument};
use crate::world::{Actor, Command, Ec2State, Invocation, MachineNo, Ping, Sending, World};

pub(super) fn send(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let name = params.text("DocumentName")?.unwrap_or_default();
    let ids = params.texts("InstanceIds")?.unwrap_or_default();
    let delivery = params.integer("TimeoutSeconds")?.unwrap_or(3600);
    let comment = params.text("Comment")?.unwrap_or_default();
    let version = params.text("DocumentVersion")?.unwrap_or_else(|| "$DEFAULT".to_owned());
    let parameters = params.map_of_texts("Parameters")?;
    let rates = Rates::read(&mut params)?;
    params.done("SendCommand")?;
    limits::check(delivery, &ids, &comment)?;
    if !matches!(version.as_str(), "1" | "$DEFAULT" | "$LATEST") {
        return Err(Failure::new("InvalidDocumentVersion", "The document version isn't valid or doesn't exist."));
    }
    let Some(spec) = document(world, &name).cloned() else {
        return Err(Failure::new("InvalidDocument", format!("Document with name {name} does not exist.")));
    };
    let (script, execution_timeout) = script(&spec, &parameters)?;
    let machines = targets(world, &ids)?;
    let sending = Sending {
        document: name.clone(),
        version: version.clone(),
        rates: rates.of(ids.len()),
        parameters: parameters.clone(),
        comment: comment.clone(),
        delivery_timeout: SignedDuration::from_secs(delivery),
        execution_timeout,
        script,
        machines,
    };
    let number = world.send_command(sending, Actor::Updater);
    let command = &world.commands[number];
    let expires = command.sent_at + command.delivery_timeout;
    Ok(json!({
        "Command": {
            "CommandId": command.id,
            "DocumentName": name,
            "DocumentVersion": version,
            "Comment": comment,
            "ExpiresAfter": time(expires),
            "Parameters": parameters,
            "InstanceIds": ids,
            "Targets": [],
            "RequestedDateTime": time(command.sent_at),
            "Status": "Pending",
            "StatusDetails": "Pending",
            "TimeoutSeconds": delivery,
            "MaxConcurrency": rates.concurrency,
            "MaxErrors": rates.errors,
            "TargetCount": command.invocations.len(),
            "CompletedCount": 0,
            "ErrorCount": 0,
            "DeliveryTimedOutCount": 0,
        }
    }))
}

/// The document of a name or an ARN. One of another account has to be shared, and none is.
fn document<'a>(world: &'a World, name: &str) -> Option<&'a DocumentSpec> {
    if !name.starts_with("arn:") {
        return world.documents.get(name);
    }
    let rest = name.strip_prefix(&format!("arn:aws:ssm:{}:", world.spec.name))?;
    let (account, path) = rest.split_once(':')?;
    let name = path.strip_prefix("document/")?;
    // Those of AWS itself have no account in their ARN.
    let owner = if name.starts_with("AWS-") { "" } else { &world.spec.account };
    world.documents.get(name).filter(|_| account == owner)
}

/// What a document runs, and its own time-out. Parameters that the document does not take are refused, as SSM does.
fn script(
    spec: &DocumentSpec,
    parameters: &BTreeMap<String, Vec<String>>,
) -> Result<(Script, SignedDuration), Failure> {
    let invalid = |message: String| Failure::new("InvalidParameters", message);
    let known: (&[&str], &str, &str) = match spec {
        DocumentSpec::Known(KnownDocument::Inspect) => (&["Refresh", "Wait", "Timeout"], "Timeout", "600"),
        DocumentSpec::Known(KnownDocument::Stage) => (&["Version", "Lock", "Timeout"], "Timeout", "1800"),
        DocumentSpec::Known(KnownDocument::Reboot) => (&["Version", "Boot", "Timeout"], "Timeout", "600"),
        DocumentSpec::Known(KnownDocument::Revert) => (&["Version", "Lock", "Boot", "Timeout"], "Timeout", "1800"),
        DocumentSpec::Known(KnownDocument::Shell) => {
            (&["commands", "executionTimeout", "workingDirectory"], "executionTimeout", "3600")
        }
        DocumentSpec::Lines(_) => (&[], "Timeout", "3600"),
    };
    let (names, timeout, default) = known;
    if let Some(odd) = parameters.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(invalid(format!("Invalid parameters provided: parameter {odd} is not defined in the document.")));
    }
    let text = parameters.get(timeout).and_then(|values| values.first()).map_or(default, String::as_str);
    let seconds: u32 = text.parse().map_err(|_| invalid(format!("{timeout} is {text:?}, which is no number.")))?;
    let script = match spec {
        DocumentSpec::Known(KnownDocument::Inspect) => Script::Inspect,
        DocumentSpec::Known(KnownDocument::Stage) => Script::Stage,
        DocumentSpec::Known(KnownDocument::Reboot) => Script::Reboot,
        DocumentSpec::Known(KnownDocument::Revert) => Script::Revert,
        DocumentSpec::Known(KnownDocument::Shell) => match parameters.get("commands") {
            Some(lines) => Script::Shell(lines.clone()),
            None => return Err(invalid("Parameter \"commands\" is required.".to_owned())),
        },
        DocumentSpec::Lines(lines) => Script::Shell(lines.clone()),
    };
    Ok((script, SignedDuration::from_secs(seconds.into())))
}

/// One id unknown to SSM or not running gives `InvalidInstanceId` for the whole call.
fn targets(world: &World, ids: &[String]) -> Result<Vec<MachineNo>, Failure> {
    let usable = |id: &String| {
        let number = world.machine_ids.get(id).copied()?;
        let running = world.machines[number].state == Ec2State::Running;
        let lost_ok = world.spec.send_to_connection_lost;
        let reachable = world.ping(number).is_some_and(|(ping, _)| ping == Ping::Online || lost_ok);
        (running && reachable).then_some(number)
    };
    let found: Option<Vec<MachineNo>> = ids.iter().map(usable).collect();
    found.ok_or_else(|| {
        let bad: Vec<&str> = ids.iter().filter(|id| usable(id).is_none()).map(String::as_str).collect();
        let message =
            format!("Instances [[{}]] not in a valid state for account {}", bad.join(", "), world.spec.account);
        Failure::new("InvalidInstanceId", message)
    })
}

pub(super) fn list(world: &World, mut params: Params) -> Result<Value, Failure> {
    let id = params.text("CommandId")?;
    let instance = params.text("InstanceId")?;
    let details = params.flag("Details")?;
    let size = page_size(&mut params, 1, 50)?;
    let token = params.text("NextToken")?;
    params.done("ListCommandInvocations")?;
    let commands: Vec<&Command> = match &id {
        Some(id) => match world.command_ids.get(id) {
            Some(number) => vec![&world.commands[*number]],
            None => return Err(Failure::new("InvalidCommandId", "The specified command ID isn't valid.")),
        },
        None => world.commands.iter().collect(),
    };
    let wanted = match &instance {
        Some(id) => match world.machine_ids.get(id) {
            Some(number) => Some(*number),
            None => return Err(Failure::new("InvalidInstanceId", format!("{id} is no managed node."))),
        },
        None => None,
    };
    let visible = |command: &Command| -> Vec<(String, Value)> {
        let own = command.invocations.iter().filter(|(number, invocation)| {
            invocation.visible_at <= world.now && wanted.is_none_or(|wanted| wanted == **number)
        });
        own.map(|(number, invocation)| {
            let key = format!("{}/{}", command.id, world.machines[*number].id);
            (key, listed(world, command, *number, invocation, details))
        })
        .collect()
    };
    let found = commands.into_iter().flat_map(visible).collect();
    let Page { items, next } = page::cut(found, |item: &(String, Value)| &item.0, size, token.as_deref())
        .map_err(|_| Failure::new("InvalidNextToken", "The specified token isn't valid."))?;
    let items: Vec<Value> = items.into_iter().map(|(_, value)| value).collect();
    let mut answer = json!({ "CommandInvocations": items });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn listed(world: &World, command: &Command, number: MachineNo, invocation: &Invocation, details: bool) -> Value {
    let mut answer = json!({
        "CommandId": command.id,
        "InstanceId": world.machines[number].id,
        "InstanceName": "",
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.version,
        "RequestedDateTime": time(command.sent_at),
        "Status": invocation.status.status(),
        "StatusDetails": invocation.status.details(),
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "CommandPlugins": [],
    });
    if details {
        let mut plugin = json!({
            "Name": PLUGIN,
            "Status": invocation.status.status(),
            "StatusDetails": invocation.status.details(),
            "ResponseCode": response_code(invocation),
            "Output": World::listed_output(invocation),
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
            "OutputS3Region": world.spec.name,
        });
        if let Some(at) = invocation.started_at {
            plugin["ResponseStartDateTime"] = time(at);
        }
        if let Some(at) = invocation.ended_at {
            plugin["ResponseFinishDateTime"] = time(after(at, -world.spec.ssm_dated_early));
        }
        answer["CommandPlugins"] = json!([plugin]);
    }
    answer
}

pub(super) fn get(world: &World, mut params: Params) -> Result<Value, Failure> {
    let id = params.text("CommandId")?.unwrap_or_default();
    let instance = params.text("InstanceId")?.unwrap_or_default();
    let plugin = params.text("PluginName")?;
    params.done("GetCommandInvocation")?;
    if plugin.is_some_and(|plugin| plugin != PLUGIN) {
        return Err(Failure::new("InvalidPluginName", "The plugin name isn't valid."));
    }
    let missing = || Failure::new("InvocationDoesNotExist", "");
    let command = world.command_ids.get(&id).map(|number| &world.commands[*number]).ok_or_else(missing)?;
    let number = world.machine_ids.get(&instance).copied().ok_or_else(missing)?;
    let invocation = command.invocations.get(&number).filter(|one| one.visible_at <= world.now).ok_or_else(missing)?;
    let output = World::shown_output(invocation);
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let text_time = |at: Option<jiff::Timestamp>| at.map(|at| format!("{at:.3}")).unwrap_or_default();
    Ok(json!({
        "CommandId": command.id,
        "InstanceId": instance,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.version,
        "PluginName": PLUGIN,
        "ResponseCode": response_code(invocation),
        "ExecutionStartDateTime": text_time(invocation.started_at),
        "ExecutionEndDateTime": text_time(invocation.ended_at),
        "Status": invocation.status.status(),
        "StatusDetails": invocation.status.details(),
        "StandardOutputContent": output.map(|output| cut(&output.stdout, 24_000)).unwrap_or_default(),
        "StandardErrorContent": output.map(|output| cut(&output.stderr, 8_000)).unwrap_or_default(),
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
    }))
}

const PLUGIN: &str = "aws:runShellScript";

/// −1 until the document has ended.
fn response_code(invocation: &Invocation) -> i32 {
    World::shown_output(invocation).map_or(-1, |output| output.exit_code)
}
