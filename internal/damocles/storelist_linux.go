package damocles

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// statfs fills in what the file system of the store says of itself. The room
// that is kept for root counts neither as used nor as free.
func (s *StoreInfo) statfs() error {
	var st unix.Statfs_t
	if err := unix.Statfs(s.Path, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: s.Path, Err: err}
	}
	block := uint64(st.Bsize)
	s.Type = fileSystem(uint32(st.Type))
	s.Total, s.Free, s.Used = st.Blocks*block, st.Bavail*block, (st.Blocks-st.Bfree)*block
	if s.Used+s.Free > 0 {
		s.UsedPercent = 100 * float64(s.Used) / float64(s.Used+s.Free)
	}
	return nil
}

// fileSystem names a file system by its magic number, as damocles and stat(1) do.
func fileSystem(magic uint32) string {
	names := map[uint32]string{
		unix.EXT4_SUPER_MAGIC: "ext2/ext3", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", unix.NFS_SUPER_MAGIC: "nfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
		unix.FUSE_SUPER_MAGIC: "fuseblk", unix.CEPH_SUPER_MAGIC: "ceph", unix.CIFS_SUPER_MAGIC: "cifs",
		unix.SMB2_SUPER_MAGIC: "smb2", unix.V9FS_MAGIC: "v9fs", unix.F2FS_SUPER_MAGIC: "f2fs",
		0x2fc12fc1: "zfs", 0x0bd00bd0: "lustre", 0x47504653: "gpfs", 0x19830326: "fhgfs", 0x858458f6: "ramfs",
		0x3153464a: "jfs", 0x52654973: "reiserfs", 0x7461636f: "ocfs2", 0x01161970: "gfs/gfs2", 0x5346544e: "ntfs",
	}
	if name, ok := names[magic]; ok {
		return name
	}
	return fmt.Sprintf("UNKNOWN (0x%x)", magic)
}
