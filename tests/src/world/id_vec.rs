//! A vector whose places are told by an id of their own type, so that a task's number never finds a machine.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// The number of a thing: its place in an [`IdVec`].
pub trait Id: Copy {
    /// Returns the id of a place.
    fn at(place: usize) -> Self;

    /// Returns the place.
    fn place(self) -> usize;
}

/// Things by their id. Nothing is ever removed, so that an id stays valid.
#[derive(Debug, Clone)]
pub struct IdVec<I, T> {
    items: Vec<T>,
    ids: PhantomData<fn() -> I>,
}

impl<I: Id, T> IdVec<I, T> {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the thing with this id, where there is one.
    pub fn get(&self, id: I) -> Option<&T> {
        self.items.get(id.place())
    }

    /// Returns all ids in order. Things that come later are not among them.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = I> + use<I, T> {
        (0..self.items.len()).map(I::at)
    }

    /// Returns all things in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// Returns all things in order, each with its id.
    pub fn iter_with_ids(&self) -> impl ExactSizeIterator<Item = (I, &T)> {
        self.items.iter().enumerate().map(|(place, item)| (I::at(place), item))
    }

    /// Returns the id that the next thing gets.
    pub(super) fn next_id(&self) -> I {
        I::at(self.items.len())
    }

    pub(super) fn push(&mut self, item: T) -> I {
        let id = self.next_id();
        self.items.push(item);
        id
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items.iter_mut()
    }
}

impl<I, T> Default for IdVec<I, T> {
    fn default() -> Self {
        Self { items: Vec::new(), ids: PhantomData }
    }
}

impl<I: Id, T> Index<I> for IdVec<I, T> {
    type Output = T;

    fn index(&self, id: I) -> &T {
        &self.items[id.place()]
    }
}

impl<I: Id, T> IndexMut<I> for IdVec<I, T> {
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.items[id.place()]
    }
}

impl<'a, I: Id, T> IntoIterator for &'a IdVec<I, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
