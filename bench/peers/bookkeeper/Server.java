// ZooKeeper and one bookie in one process, on 127.0.0.1: java -cp JARS:CLASSES Server ZOOKEEPER_PORT BOOKIE_PORT FOLDER
import java.io.File;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.bookkeeper.client.BookKeeperAdmin;
import org.apache.bookkeeper.conf.ServerConfiguration;
import org.apache.bookkeeper.server.EmbeddedServer;
import org.apache.bookkeeper.server.conf.BookieConfiguration;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

public class Server {
    static final int ZOOKEEPER_CONNECTIONS_MAX = 100;

    static File folder(String parent, String name) throws Exception {
        return Files.createDirectories(Path.of(parent, name)).toFile();
    }

    public static void main(String[] args) throws Exception {
        int zooKeeperPort = Integer.parseInt(args[0]);
        String data = args[2];
        File zooKeeper = folder(data, "zookeeper");
        InetSocketAddress address = new InetSocketAddress("127.0.0.1", zooKeeperPort);
        ServerCnxnFactory.createFactory(address, ZOOKEEPER_CONNECTIONS_MAX)
                .startup(new ZooKeeperServer(zooKeeper, zooKeeper, ZooKeeperServer.DEFAULT_TICK_TIME));
        // Everything else is as it is by default.
        ServerConfiguration conf = new ServerConfiguration();
        conf.setMetadataServiceUri("zk://127.0.0.1:" + zooKeeperPort + "/ledgers");
        conf.setAdvertisedAddress("127.0.0.1");
        conf.setListeningInterface("lo");
        conf.setAllowLoopback(true);
        conf.setBookiePort(Integer.parseInt(args[1]));
        conf.setJournalDirName(folder(data, "journal").toString());
        conf.setLedgerDirNames(new String[] {folder(data, "ledgers").toString()});
        BookKeeperAdmin.initNewCluster(conf);
        EmbeddedServer.builder(new BookieConfiguration(conf)).build().getLifecycleComponentStack().start();
        // Before that it accepts connections, and resets them.
        Files.createFile(Path.of(data, "ready"));
        Thread.currentThread().join();
    }
}
