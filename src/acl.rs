//! POSIX access lists, in the form that the kernel passes around (`linux/posix_acl_xattr.h`).
//!
//! npyfs does not enforce them: the kernel does, those of the mount's entries too. It only derives the list
//! of an entry that the source does not have from that of a file that it has.

/// The extended attributes by which the kernel asks for a list: the one that counts for an entry, and the one
/// that a directory gives to new entries.
pub const ACCESS: &str = "system.posix_acl_access";
/// See [`ACCESS`].
pub const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const HEADER: usize = size_of::<u32>();
const ENTRY: usize = 8;

/// A list as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList(Vec<Entry>);

/// Who may do what. Only the kernel compares users and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u16,
    permissions: u16,
    id: u32,
}

/// The tags: the owner, a user, the owning group, a group, the mask of the three before, others.
const TAGS: [u16; 6] = [0x01, 0x02, 0x04, 0x08, MASK, 0x20];
const MASK: u16 = 0x10;

impl AccessList {
    /// Reads a list; none if it is not one of this version.
    pub fn parse(bytes: &[u8]) -> Option<AccessList> {
        let (version, entries) = bytes.split_first_chunk::<HEADER>()?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % ENTRY != 0 {
            return None;
        }
        let entry = |bytes: &[u8]| {
            let [t0, t1, p0, p1, id @ ..] = bytes.first_chunk::<ENTRY>()?;
            let (tag, permissions) =
                (u16::from_le_bytes([*t0, *t1]), u16::from_le_bytes([*p0, *p1]));
            let is_known = TAGS.contains(&tag) && permissions <= 0o7;
            is_known.then_some(Entry { tag, permissions, id: u32::from_le_bytes(*id) })
        };
        entries.chunks(ENTRY).map(entry).collect::<Option<_>>().map(AccessList)
    }

    /// The list in which each permission is what `of_entry` makes of it, and the mask's what `of_mask` makes
    /// of it: with a list, the mask is the mode's group bits.
    #[must_use]
    pub fn with(&self, of_entry: impl Fn(u16) -> u16, of_mask: impl Fn(u16) -> u16) -> AccessList {
        let change = |entry: &Entry| {
            let permissions = match entry.tag {
                MASK => of_mask(entry.permissions),
                _ => of_entry(entry.permissions),
            };
            Entry { permissions, ..*entry }
        };
        AccessList(self.0.iter().map(change).collect())
    }

    /// The list as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend_from_slice(&entry.tag.to_le_bytes());
            bytes.extend_from_slice(&entry.permissions.to_le_bytes());
            bytes.extend_from_slice(&entry.id.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let entries = entries.iter().map(|&(tag, permissions, id)| Entry { tag, permissions, id });
        AccessList(entries.collect()).to_bytes()
    }

    #[test]
    fn a_list_is_read_and_written_as_the_kernel_has_it() {
        let bytes = packed(&[(1, 6, u32::MAX), (2, 0, 1000), (16, 4, u32::MAX), (32, 4, u32::MAX)]);
        assert_eq!(bytes[..12], [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255]);
        let list = AccessList::parse(&bytes).unwrap();
        assert_eq!(list.to_bytes(), bytes);
        let changed = list.with(|permissions| permissions & 4, |mask| mask | 1);
        assert_eq!(
            changed.to_bytes(),
            packed(&[(1, 4, u32::MAX), (2, 0, 1000), (16, 5, u32::MAX), (32, 4, u32::MAX)])
        );
    }

    #[test]
    fn what_is_no_list_is_none() {
        let bytes = packed(&[(1, 6, 0), (32, 4, 0)]);
        for cut in [0, 1, 3, 5, 11, 19] {
            assert_eq!(AccessList::parse(&bytes[..cut]), None, "cut off at {cut}");
        }
        for wrong in [packed(&[(3, 6, 0)]), packed(&[(1, 8, 0)]), [3, 0, 0, 0].to_vec()] {
            assert_eq!(AccessList::parse(&wrong), None);
        }
        assert_eq!(AccessList::parse(&[2, 0, 0, 0]), Some(AccessList(vec![])));
    }
}
