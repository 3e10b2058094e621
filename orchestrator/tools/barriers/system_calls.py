"""The system calls that external programs do not need, by what a program gets in answer, with their numbers.

Numbers are (x86_64, aarch64), from the kernel's tables; None where an architecture lacks the call.
"""

from __future__ import annotations

Numbers = tuple[int | None, int | None]

REFUSED: dict[str, Numbers] = {
    # Mounts, namespaces and other settings of the system.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "iopl": (172, None),
    "ioperm": (173, None),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "personality": (135, 92),
    # Large parts of the kernel that have had many vulnerabilities.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Files that Landlock does not protect from these calls.
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "lookup_dcookie": (212, 18),
    "mknod": (133, None),
    "mknodat": (259, 33),
    # Messages to processes of the same IPC namespace.
    "semget": (64, 190),
    "semop": (65, 193),  # this and the next five take the id of an existing object, which can be guessed
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}
"""Calls that fail with EPERM."""

SHARED_MEMORY: dict[str, Numbers] = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
}
"""Calls for memory that outlives its mappings and does not count as memory of a process. They fail with ENOSYS."""

UNSUPPORTED: dict[str, Numbers] = {
    "clone3": (435, 435),  # its flags are in memory, which a filter cannot read; the C library falls back to clone
    "fchmodat2": (452, 452),
}
"""Calls that fail with ENOSYS."""

WITHOUT_EFFECT: dict[str, Numbers] = {
    # The owner and the mode of a file, which Landlock does not protect.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    # Leaving the process group, with which a program is killed and measured.
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # Priorities, also those of all processes of the user.
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
}
"""Calls that succeed and do nothing. Programs use them to copy files and to start processes."""

NEW_PROCESSES: dict[str, Numbers] = {
    "fork": (57, None),
    "vfork": (58, None),
}
"""Calls that start a process. CLONE starts a process or a thread."""

OWN_PROCESS_ONLY: dict[str, Numbers] = {
    "prlimit64": (302, 261),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
}
"""Calls whose first argument is a process. They have no effect unless it is 0, the calling process."""

SIGNALS: dict[str, Numbers] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}
"""Calls that send a signal to the process, thread or process group in their first argument."""

TRUNCATE: Numbers = (76, 45)
SOCKET: Numbers = (41, 198)
SOCKETPAIR: Numbers = (53, 199)
CLONE: Numbers = (56, 220)
IOCTL: Numbers = (16, 29)
FCNTL: Numbers = (72, 25)
MMAP: Numbers = (9, 222)
SECCOMP: Numbers = (317, 277)

LAST_KNOWN = 462
"""``mseal``, Linux 6.10. Later calls fail with ENOSYS, because they may do what is refused here."""
