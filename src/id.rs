//! What stands for whom: small numbers, below all layers, so that none has to know another for their sake.

/// A client, by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u32);

/// A room or a topic, by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(u32);

macro_rules! index_of_a_slot {
    ($name:ident) => {
        impl $name {
            /// The slot of this index. There are never more slots than open files.
            pub fn new(index: usize) -> $name {
                $name(u32::try_from(index).expect("fewer than 2^32 open files"))
            }

            /// The index of the slot.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
index_of_a_slot!(ClientId);
index_of_a_slot!(ChannelId);

/// A person's number: it is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonId(pub u64);

/// A form, by its place in the list of those that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormId(pub u8);
