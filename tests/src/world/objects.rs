//! What lies in S3.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::World;

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    pub content_type: Option<String>,
    pub body: Bytes,
    /// How often something was put under its name.
    pub puts: u32,
}

/// Objects by their bucket and their key.
pub type Objects = BTreeMap<(String, String), StoredObject>;

impl World {
    /// Puts an object into a bucket, in the place of one of the same name.
    pub(crate) fn put_object(&mut self, bucket: String, key: String, object: StoredObject) {
        let before = self.objects.get(&(bucket.clone(), key.clone())).map_or(0, |object| object.puts);
        self.objects.insert((bucket, key), StoredObject { puts: object.puts + before, ..object });
    }

    /// Everything that lies in S3.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }
}
