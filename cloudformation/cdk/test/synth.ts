// Synthesises stacks with the construct into a folder, and prints what cdk-nag finds in the nested one and what the construct
// refuses, as JSON. cloudformation/tests/test_modules.py compares all of it with the template.

import { App, CfnOutput, CfnParameter, Stack } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { WebCluster } from '../example/app';
import { EcsUpdater, type EcsUpdaterProps } from '../lib';
import { OUTPUTS } from '../lib/interface';

interface Request {
  /** Parameters of a stack each; it is synthesised under its name. */
  readonly stacks: { readonly [name: string]: EcsUpdaterProps };
  /** Parameters that the construct is to refuse. */
  readonly refused: readonly EcsUpdaterProps[];
}

const request: Request = JSON.parse(process.argv[3]!);
const app = new App({ outdir: process.argv[2]!, analyticsReporting: false });
const findings: { [name: string]: string[][] } = {};
const nested: { [name: string]: string } = {};

for (const [name, props] of Object.entries(request.stacks)) {
  const stack = new Stack(app, name);
  const updater = new EcsUpdater(stack, 'Updater', props);
  for (const output of OUTPUTS) {
    new CfnOutput(stack, `Of${output}`, { value: updater.outputs[output] });
  }
  nested[name] = updater.stack.templateFile;
  const report = new AwsSolutionsChecks().validateScope(updater.stack);
  findings[name] = report.violations.flatMap((violation) =>
    violation.violatingResources.map((resource) => [violation.ruleName, resource.constructPath?.split('/').at(-1) ?? '']),
  );
}

// Values that are known at deployment alone.
const late = new Stack(app, 'late');
const names = new CfnParameter(late, 'Names', { type: 'CommaDelimitedList' });
const topic = new CfnParameter(late, 'Topic');
new EcsUpdater(late, 'Updater', {
  clusterNames: names.valueAsList,
  image: 'public.ecr.aws/x1y2z3/ecs-updater:1.0.0',
  vpcId: 'vpc-0123456789abcdef0',
  subnetIds: ['subnet-0123456789abcdef0', topic.valueAsString],
  notificationTopicArn: topic.valueAsString,
});
const example = new WebCluster(app, 'web');

const refusals = request.refused.map((props, number) => {
  try {
    new EcsUpdater(new Stack(new App(), `refused-${number}`), 'Updater', props);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
});
app.synth();
process.stdout.write(JSON.stringify({ findings, nested, refusals, example: example.templateFile }));
