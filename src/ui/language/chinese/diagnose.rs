//! `diagnose`: what stands in the way.

use crate::ui::language::catalogue::Phrase;

pub(super) const PHRASES: &[Phrase] = &[
    (
        "a rebuild of tables was cut short; nothing is lost, and it goes on where it was",
        "表的重建被中断；没有数据丢失，可从中断处继续",
    ),
    ("error", "错误"),
    ("warning", "警告"),
    ("info", "信息"),
    ("about", "对象"),
    ("mend it with", "修复命令"),
    ("nothing stands in the way", "一切无碍"),
    ("mend it: `{}`", "修复：`{0}`"),
    ("{} things keep this home from working", "有 {0} 件事使本 home 无法工作"),
    ("port", "端口"),
    ("holder", "占用者"),
    ("user", "用户"),
    ("since", "始于"),
    ("command", "命令"),
    ("lock", "锁"),
    ("free", "空闲"),
    ("ours", "自己的"),
    ("foreign", "外部的"),
    ("held", "持有"),
    ("stale", "失效"),
    ("unusable", "不可用"),
    ("port {}", "端口 {0}"),
    ("locks", "锁"),
    ("settings", "配置"),
    ("processes", "进程"),
    ("supervisor", "守护进程"),
    ("limits", "上限"),
    ("clock", "时钟"),
    ("data", "数据"),
    // Docker.
    ("there is no docker on the PATH", "PATH 上没有 docker"),
    ("docker does not answer within {} s", "docker 在 {0} 秒内没有应答"),
    ("docker says nothing", "docker 什么也没说"),
    ("not usable, and not needed: {}", "不可用，也不需要：{0}"),
    (
        "a container of MarketPrism runs: {}",
        "MarketPrism 的一个容器正在运行：{0}",
    ),
    // The home.
    (
        "it holds a credential and others can read it",
        "其中有凭据，而其他用户可读",
    ),
    ("has no effect: {}", "不起作用：{0}"),
    ("there is no home yet", "还没有 home"),
    ("the home cannot be written by {}", "{0} 无法写入本 home"),
    ("missing or broken: {}", "缺少或损坏：{0}"),
    // The machine.
    ("the disk is mounted read-only", "磁盘以只读方式挂载"),
    ("only {} are free", "仅余 {0}"),
    (
        "{} are free; below {} (collector.spool.free_bytes_min) the collector pauses",
        "余 {0}；低于 {1}（collector.spool.free_bytes_min）采集器将暂停",
    ),
    ("only {} inodes are free", "仅余 {0} 个 inode"),
    (
        "4 KiB take {} ms to be on the disk for good: about {} messages a second with nats.durability strict",
        "4 KiB 落盘需要 {0} ms：nats.durability 为 strict 时每秒约 {1} 条消息",
    ),
    ("only {} are available", "仅有 {0} 可用"),
    (
        "the kernel does not say how right the clock is",
        "内核没有说明时钟的准确度",
    ),
    (
        "nothing keeps the clock right; delays and integrity's checks of time will be off",
        "没有任何服务校准时钟；延迟和 integrity 的时间检查会不准",
    ),
    ("the clock may be wrong by {} ms", "时钟可能偏差 {0} ms"),
    (
        "mprism runs as root and needs no right of root's",
        "mprism 以 root 运行，而它不需要 root 的任何权限",
    ),
    // Processes, locks, data.
    (
        "a MarketPrism runs: its {}, container {} of {}",
        "有 MarketPrism 在运行：它的 {0}，镜像 {2} 的容器 {1}",
    ),
    (
        "a MarketPrism runs: its {}, pid {}, holds {}",
        "有 MarketPrism 在运行：它的 {0}（进程 {1}）占用 {2}",
    ),
    (
        "a MarketPrism runs: pid {} holds {}",
        "一个 MarketPrism 正在运行：pid {0} 持有 {1}",
    ),
    (
        "{} name processes that have ended, which is harmless",
        "{0} 个锁写着已结束的进程，无妨",
    ),
    (
        "{} should be up and nobody supervises them",
        "{0} 应当运行，却没有守护进程",
    ),
    ("given up: {}", "已放弃：{0}"),
    ("ends again and again: {}", "一再结束：{0}"),
    ("not healthy: {}", "不健康：{0}"),
    ("started again {} times; last {}", "已重启 {0} 次；最近一次：{1}"),
    ("runs a program that has been replaced: {}", "运行的程序已被替换：{0}"),
    (
        "it cannot be shown that acknowledgements of somebody else's server survive a power cut",
        "无法证明外部服务器的确认在断电后仍然有效",
    ),
    (
        "streams and tables are compared only while nats and clickhouse run",
        "只有 nats 和 clickhouse 运行时才比较流和表",
    ),
    // The support archive.
    ("{} ({}), credentials removed", "{0}（{1}），已去除凭据"),
    // Locks that cannot be used.
    ("lock {} is held{}", "锁 {0} 被持有{1}"),
    (" by pid {} ({})", "，进程 {0}（{1}）"),
    ("lock {} is not usable: {}", "锁 {0} 不可用：{1}"),
    ("cannot open lock {}", "无法打开锁 {0}"),
    ("replaced while it was being locked", "加锁时被替换"),
    ("a symbolic link stands there", "那里是一个符号链接"),
    ("not a plain file", "不是普通文件"),
    ("it belongs to uid {}", "属于 uid {0}"),
    ("it has a second name (hard link)", "它有第二个名字（硬链接）"),
];
