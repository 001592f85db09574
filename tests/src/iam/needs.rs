//! What AWS asks IAM for each operation that is modelled: resource types and condition keys as in the Service
//! Authorization Reference. Where that leaves open what is asked, the refusals that people report say it.

use std::collections::{BTreeMap, BTreeSet};

use models::claim::{CLAIM_TAG, FAILED_TAG, SAVED_LOCK_TAG};
use models::last::LAST_TAG;
use models::own_host::INSTANCE_TAG;

use super::need::Need;
use super::policy::SOURCE_INSTANCE_KEY;
use crate::wire::asked::{Asked, Body};
use crate::wire::form::Form;
use crate::wire::params::Params;
use crate::wire::s3;
use crate::world::{MachineNo, World};

type Context = BTreeMap<String, BTreeSet<String>>;
/// Makes the ARN of a part of a service.
type Arn<'a> = dyn Fn(&str, String) -> String + 'a;

/// All that has to be allowed for a call, by the role of a host where one makes it; never empty. An operation that is not known here needs what no policy gives.
pub(crate) fn needs(world: &World, asked: &Asked, by: Option<MachineNo>) -> Vec<Need> {
    let (region, account) = (&world.spec.name, &world.spec.account);
    let arn = |service: &str, rest: String| format!("arn:aws:{service}:{region}:{account}:{rest}");
    let resources = match (&asked.body, asked.name().as_str()) {
        (Body::Json(params), "ecs:PutAttributes") => of_put_attributes(world, &arn, params, by),
        (Body::Json(params), "ecs:TagResource" | "ecs:UntagResource") => of_tag_resource(params),
        (Body::Json(params), name) if name.starts_with("ecs:") => of_ecs(&arn, name, params),
        (Body::Json(params), "ssm:SendCommand") => of_send_command(world, &arn, params),
        (Body::Json(params), "events:PutEvents") => of_put_events(&arn, params),
        (Body::Json(params), "dynamodb:GetItem" | "dynamodb:PutItem" | "dynamodb:UpdateItem") => {
            let table = params.peek_text("TableName").unwrap_or_default();
            vec![(arn("dynamodb", format!("table/{table}")), Context::new())]
        }
        (Body::Json(params), "ssm:GetParameter" | "ssm:GetParameters") => {
            of_parameters(region, account.as_str(), params)
        }
        (Body::Json(params), "lambda:Invoke") => {
            vec![(params.peek_text("FunctionName").unwrap_or_default(), Context::new())]
        }
        (
            Body::Json(_) | Body::Form(_),
            "ssm:DescribeInstanceInformation"
            | "ssm:ListCommandInvocations"
            | "autoscaling:DescribeAutoScalingGroups"
            | "autoscaling:DescribeAutoScalingInstances"
            | "autoscaling:DescribeInstanceRefreshes"
            | "autoscaling:DescribeLaunchConfigurations"
            | "cloudwatch:DescribeAlarms"
            | "ec2:DescribeImages"
            | "ec2:DescribeLaunchTemplateVersions"
            | "ec2:DescribeInstanceTypes"
            | "ec2:DescribeInstances"
            | "ec2:DescribeInstanceStatus",
        ) => {
            vec![("*".to_owned(), Context::new())]
        }
        (Body::Rest(rest), "s3:PutObject") => {
            let (bucket, key) = s3::place(rest);
            vec![(format!("arn:aws:s3:::{bucket}/{key}"), Context::new())]
        }
        (
            Body::Form(form),
            "autoscaling:UpdateAutoScalingGroup" | "autoscaling:CreateOrUpdateTags" | "autoscaling:DeleteTags",
        ) => of_group(&arn, form),
        (Body::Form(form), "ec2:CreateTags" | "ec2:DeleteTags") => of_tags(world, &arn, form),
        (Body::Json(_) | Body::Form(_) | Body::Rest(_), _) => Vec::new(),
    };
    // The one operation here whose action has another name.
    let action = match asked.name() {
        name if name == "lambda:Invoke" => "lambda:InvokeFunction".to_owned(),
        name => name,
    };
    let need = |(resource, context)| Need { action: action.clone(), resource, context };
    let mut needs: Vec<Need> = resources.into_iter().map(need).collect();
    needs.sort();
    needs.dedup();
    if needs.is_empty() {
        needs.push(need(("not known to fleet_sim::iam".to_owned(), Context::new())));
    }
    needs
}

fn of_ecs(arn: &Arn<'_>, name: &str, params: &Params) -> Vec<(String, Context)> {
    let cluster = params.peek_text("cluster").unwrap_or_else(|| "default".to_owned());
    let cluster = cluster.rsplit('/').next().unwrap_or_default().to_owned();
    let in_cluster: Context = one("ecs:cluster", arn("ecs", format!("cluster/{cluster}")));
    let part = |kind: &str| vec![(arn("ecs", format!("{kind}/{cluster}/id")), in_cluster.clone())];
    match name {
        "ecs:ListClusters" | "ecs:DescribeTaskDefinition" => vec![("*".to_owned(), Context::new())],
        "ecs:DescribeClusters" => params
            .peek_texts("clusters")
            .into_iter()
            .map(|name| (arn("ecs", format!("cluster/{name}")), Context::new()))
            .collect(),
        "ecs:DescribeCapacityProviders" => vec![(arn("ecs", "capacity-provider/id".to_owned()), Context::new())],
        "ecs:ListContainerInstances" => vec![(arn("ecs", format!("cluster/{cluster}")), Context::new())],
        // Without an instance it is asked for `*` (cdklabs/construct-hub #1207, fabfuel/ecs-deploy #119).
        "ecs:ListTasks" if params.peek_text("containerInstance").is_none() => {
            vec![("*".to_owned(), in_cluster.clone())]
        }
        "ecs:ListTasks" | "ecs:DescribeContainerInstances" | "ecs:UpdateContainerInstancesState" => {
            part("container-instance")
        }
        "ecs:DescribeTasks" | "ecs:GetTaskProtection" | "ecs:StopTask" => part("task"),
        "ecs:DescribeServices" => part("service"),
        _ => Vec::new(),
    }
}

/// Of each container instance that is reported on, with its tag and with the host whose role reports. That it is the same
/// host is what matters, and not which.
fn of_put_attributes(world: &World, arn: &Arn<'_>, params: &Params, by: Option<MachineNo>) -> Vec<(String, Context)> {
    let cluster = params.peek_text("cluster").unwrap_or_else(|| "default".to_owned());
    let cluster = cluster.rsplit('/').next().unwrap_or_default().to_owned();
    let an_instance = arn("ec2", "instance/id".to_owned());
    let source = by.map(|machine| world.instance_arn(machine));
    params
        .peek_fields("attributes", "targetId")
        .into_iter()
        .map(|target| {
            let mut context = one("ecs:cluster", arn("ecs", format!("cluster/{cluster}")));
            let target = if target.starts_with("arn:") {
                target
            } else {
                arn("ecs", format!("container-instance/{cluster}/{target}"))
            };
            if let Some(tag) = world.named_instance(&target) {
                let value =
                    if Some(tag) == source.as_ref() { an_instance.clone() } else { "another instance".to_owned() };
                context.extend(one(&format!("aws:ResourceTag/{INSTANCE_TAG}"), value));
            }
            if source.is_some() {
                context.extend(one(SOURCE_INSTANCE_KEY, an_instance.clone()));
            }
            (arn("ecs", format!("container-instance/{cluster}/id")), context)
        })
        .collect()
}

fn of_put_events(arn: &Arn<'_>, params: &Params) -> Vec<(String, Context)> {
    let buses = params.peek_fields("Entries", "EventBusName").into_iter();
    let of_bus = |bus: String| if bus.starts_with("arn:") { bus } else { arn("events", format!("event-bus/{bus}")) };
    buses.map(|bus| (of_bus(bus), Context::new())).collect()
}

/// AWS's own parameters are of no account.
fn of_parameters(region: &str, account: &str, params: &Params) -> Vec<(String, Context)> {
    let of_name = |name: String| {
        let account = if name.starts_with("/aws/service/") { "" } else { account };
        format!("arn:aws:ssm:{region}:{account}:parameter/{}", name.trim_start_matches('/'))
    };
    let names = params.peek_text("Name").into_iter().chain(params.peek_texts("Names"));
    names.map(|name| (of_name(name), Context::new())).collect()
}

fn of_tag_resource(params: &Params) -> Vec<(String, Context)> {
    let mut resource = params.peek_text("resourceArn").unwrap_or_default();
    if let Some((before, _)) = resource.rsplit_once('/').filter(|_| !resource.contains(":cluster/")) {
        resource = format!("{before}/id");
    }
    let written = params.peek_fields("tags", "key").into_iter();
    let keys = written.chain(params.peek_texts("tagKeys")).collect();
    vec![(resource, Context::from([("aws:TagKeys".to_owned(), keys)]))]
}

fn of_send_command(world: &World, arn: &Arn<'_>, params: &Params) -> Vec<(String, Context)> {
    let name = params.peek_text("DocumentName").unwrap_or_default();
    let document = if name.starts_with("AWS-") {
        format!("arn:aws:ssm:{}::document/{name}", world.spec.name)
    } else {
        arn("ssm", format!("document/{name}"))
    };
    let hosts = params.peek_texts("InstanceIds");
    let tagged = hosts.iter().map(|host| (arn("ec2", "instance/id".to_owned()), tags(world, host)));
    [(document, Context::new())].into_iter().chain(tagged).collect()
}

fn of_tags(world: &World, arn: &Arn<'_>, form: &Form) -> Vec<(String, Context)> {
    let mut form = form.clone();
    let hosts = form.list("ResourceId");
    let mut given = Context::new();
    for mut tag in form.members("Tag").into_values() {
        let key = tag.take("Key").unwrap_or_default();
        given.entry("aws:TagKeys".to_owned()).or_default().insert(key);
    }
    let of_host = |host: &String| {
        let mut context = tags(world, host);
        context.extend(given.clone());
        (arn("ec2", "instance/id".to_owned()), context)
    };
    hosts.iter().map(of_host).collect()
}

/// A group of a capacity provider: ECS has put its tag on it.
fn of_group(arn: &Arn<'_>, form: &Form) -> Vec<(String, Context)> {
    let mut form = form.clone();
    let mut context = one("aws:ResourceTag/AmazonECSManaged", String::new());
    for size in ["MinSize", "MaxSize"] {
        context.extend(form.take(size).map(|value| (format!("autoscaling:{size}"), BTreeSet::from([value]))));
    }
    for mut tag in form.members("Tags.member").into_values() {
        let key = tag.take("Key").unwrap_or_default();
        context.entry("aws:TagKeys".to_owned()).or_default().insert(key);
    }
    vec![(arn("autoscaling", "autoScalingGroup:id:autoScalingGroupName/id".to_owned()), context)]
}

fn one(key: &str, value: String) -> Context {
    Context::from([(key.to_owned(), BTreeSet::from([value]))])
}

/// A machine's tags as the condition keys of both services. The updater's own, whose values differ from call to call,
/// are left out: a policy that looked at them would find nothing, and refuse.
fn tags(world: &World, host: &str) -> Context {
    let machine = world.machine_ids.get(host).map(|number| &world.machines[*number]);
    let own = [CLAIM_TAG, FAILED_TAG, LAST_TAG, SAVED_LOCK_TAG];
    let tags = machine.into_iter().flat_map(|machine| &machine.tags).filter(|(key, _)| !own.contains(&key.as_str()));
    tags.flat_map(|(key, value)| {
        ["aws:ResourceTag", "ssm:resourceTag"]
            .map(|prefix| (format!("{prefix}/{key}"), BTreeSet::from([value.clone()])))
    })
    .collect()
}
