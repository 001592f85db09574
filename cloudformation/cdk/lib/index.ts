export { EcsUpdater, type EcsUpdaterProps } from './ecs-updater';
export type { EcsUpdaterOutputs, EcsUpdaterParameters } from './interface';
