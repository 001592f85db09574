// A cluster of Bottlerocket instances behind a capacity provider, and the updater beside it.

import { App, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import { AutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import { InstanceType, LaunchTemplate, SecurityGroup, UserData, Vpc } from 'aws-cdk-lib/aws-ec2';
import { AsgCapacityProvider, BottlerocketEcsVariant, BottleRocketImage, Cluster } from 'aws-cdk-lib/aws-ecs';
import { ManagedPolicy, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { EcsUpdater } from '../lib';

export class WebCluster extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const vpc = new Vpc(this, 'Vpc', { maxAzs: 2 });
    const cluster = new Cluster(this, 'Cluster', { vpc });
    const role = new Role(this, 'InstanceRole', {
      assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: ['service-role/AmazonEC2ContainerServiceforEC2Role', 'AmazonSSMManagedInstanceCore'].map((name) =>
        ManagedPolicy.fromAwsManagedPolicyName(name),
      ),
    });
    const userData = UserData.custom(`[settings.ecs]\ncluster = "${cluster.clusterName}"\n`);
    const launchTemplate = new LaunchTemplate(this, 'LaunchTemplate', {
      instanceType: new InstanceType('m7i.large'),
      machineImage: new BottleRocketImage({ variant: BottlerocketEcsVariant.AWS_ECS_2 }),
      requireImdsv2: true,
      role,
      securityGroup: new SecurityGroup(this, 'Instances', { vpc }),
      userData,
    });
    const instances = new AutoScalingGroup(this, 'Group', { vpc, launchTemplate, minCapacity: 3, maxCapacity: 12 });
    const provider = new AsgCapacityProvider(this, 'Provider', {
      autoScalingGroup: instances,
      enableManagedTerminationProtection: false,
      targetCapacityPercent: 90,
    });
    cluster.addAsgCapacityProvider(provider);

    const updater = new EcsUpdater(this, 'Updater', {
      clusterNames: [cluster.clusterName],
      image: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecs-updater:0.1.0',
      imageRepositoryArn: 'arn:aws:ecr:eu-west-1:123456789012:repository/ecs-updater',
      vpcId: vpc.vpcId,
      subnetIds: vpc.privateSubnets.map((subnet) => subnet.subnetId),
      maxDuration: '4h',
      // Run the command of PlanNow, and then switch it on.
      scheduleState: 'DISABLED',
    });
    new CfnOutput(this, 'PlanNow', { value: updater.outputs.planNow });
  }
}

if (require.main === module) {
  new WebCluster(new App(), 'web');
}
