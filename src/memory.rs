//! Memory that is no longer needed goes back to the system.

/// Gives back what the allocator keeps for later.
///
/// glibc gives back what lies at the end of its arenas only; one small thing that lives on keeps all
/// that was before it. After a hundred thousand names were forgotten, that was most of it.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and nothing that is in use is touched; any thread may call it.
    unsafe {
        libc::malloc_trim(0);
    }
}
