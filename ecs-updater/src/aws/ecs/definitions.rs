//! Task definitions.

use aws_sdk_ecs::types::{ContainerDefinition, NetworkMode, ResourceType, TaskDefinitionPlacementConstraintType};
use models::fleet::{Resources, TaskDefinition};

use super::tasks::FIRST_EPHEMERAL_PORT;
use crate::aws::client::Aws;
use crate::aws::error::AwsError;
use crate::aws::limits::Bucket;

impl Aws {
    /// Describes one task definition.
    pub(crate) async fn task_definition(&self, arn: &str) -> Result<TaskDefinition, AwsError> {
        self.pace(Bucket::DefinitionRead).await;
        let answer = self.ecs.describe_task_definition().task_definition(arn).send().await;
        let answer = answer.map_err(|error| AwsError::from_sdk("ecs:DescribeTaskDefinition", error))?;
        Ok(answer.task_definition().map(read).unwrap_or_default())
    }
}

fn read(definition: &aws_sdk_ecs::types::TaskDefinition) -> TaskDefinition {
    let member_of = Some(&TaskDefinitionPlacementConstraintType::MemberOf);
    let constraints = definition.placement_constraints().iter().filter(|one| one.r#type() == member_of);
    let containers = definition.container_definitions();
    let size = |of_task: Option<&str>, of_container: &dyn Fn(&ContainerDefinition) -> i32| {
        let sum = || containers.iter().map(|container| i64::from(of_container(container))).sum();
        of_task.and_then(|text| text.parse().ok()).unwrap_or_else(sum)
    };
    let has_own = definition.network_mode() == Some(&NetworkMode::Awsvpc);
    let needs = Resources {
        cpu: size(definition.cpu(), &|container| container.cpu()),
        memory: size(definition.memory(), &|container| {
            container.memory().or(container.memory_reservation()).unwrap_or_default()
        }),
        ports: if has_own { Vec::new() } else { ports(containers) },
        gpus: containers.iter().map(gpus).sum(),
        interfaces: i64::from(has_own),
    };
    TaskDefinition {
        member_of: constraints.filter_map(|one| one.expression().map(str::to_owned)).collect(),
        needs: Some(needs),
    }
}

/// The host ports that are asked for by number.
fn ports(containers: &[ContainerDefinition]) -> Vec<u16> {
    let mapped = containers.iter().flat_map(ContainerDefinition::port_mappings).filter_map(|one| one.host_port());
    let fixed = mapped.filter(|port| (1..FIRST_EPHEMERAL_PORT).contains(port));
    fixed.filter_map(|port| u16::try_from(port).ok()).collect()
}

/// Whole GPUs; `ALL` takes one at least.
fn gpus(container: &ContainerDefinition) -> i64 {
    let asked = container.resource_requirements().iter().filter(|one| one.r#type() == &ResourceType::Gpu);
    asked.map(|one| one.value().parse().unwrap_or(1)).sum()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{PortMapping, ResourceRequirement, TaskDefinitionPlacementConstraint};

    use super::*;

    #[test]
    fn what_a_definition_says() {
        let gpu = |value: &str| ResourceRequirement::builder().r#type(ResourceType::Gpu).value(value).build().unwrap();
        let port = |port| PortMapping::builder().host_port(port).build();
        let app = ContainerDefinition::builder().cpu(256).memory_reservation(512).resource_requirements(gpu("2"));
        let app = app.port_mappings(port(8080)).port_mappings(port(0)).port_mappings(port(40_000)).build();
        let side = ContainerDefinition::builder().cpu(64).memory(128).resource_requirements(gpu("ALL")).build();
        let constraint = TaskDefinitionPlacementConstraint::builder()
            .r#type(TaskDefinitionPlacementConstraintType::MemberOf)
            .expression("attribute:stack == prod")
            .build();
        let definition = aws_sdk_ecs::types::TaskDefinition::builder().placement_constraints(constraint);
        let definition = definition.container_definitions(app).container_definitions(side);
        let on_the_host = Resources { cpu: 320, memory: 640, ports: vec![8080], gpus: 3, interfaces: 0 };
        let expected =
            TaskDefinition { member_of: vec!["attribute:stack == prod".to_owned()], needs: Some(on_the_host.clone()) };
        assert_eq!(read(&definition.clone().build()), expected);
        let own = definition.network_mode(NetworkMode::Awsvpc).cpu("1024").memory("2048").build();
        let needs = Resources { cpu: 1024, memory: 2048, ports: vec![], interfaces: 1, ..on_the_host };
        assert_eq!(read(&own).needs, Some(needs));
    }
}
