//! Numbers of things in the world: places in its tables, never reused.

use super::id_vec::Id;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub usize);

        impl Id for $name {
            fn at(place: usize) -> Self {
                Self(place)
            }

            fn place(self) -> usize {
                self.0
            }
        }
    };
}

number!(
    /// A machine, in the order of the scenario: the `index` of `[[host]]`.
    MachineNo
);
number!(
    /// A container instance; a machine can have had several.
    RegistrationNo
);
number!(
    /// A cluster.
    ClusterNo
);
number!(
    /// A service.
    ServiceNo
);
number!(
    /// A task.
    TaskNo
);
number!(
    /// A command that was sent through SSM.
    CommandNo
);
