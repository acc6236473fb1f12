import java.io.File;
import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/** s3://bucket/key as the local file ROOT/bucket/key, where ROOT is the setting fs.s3.local.root. */
public class LocalS3FileSystem extends RawLocalFileSystem {
    private URI uri;
    private File root;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        super.initialize(name, conf);
        uri = URI.create(name.getScheme() + "://" + name.getAuthority());
        root = new File(conf.get("fs.s3.local.root"), name.getAuthority());
        setWorkingDirectory(new Path("/"));
    }

    @Override
    public URI getUri() {
        return uri == null ? super.getUri() : uri; // asked for by the superclass's constructor
    }

    @Override
    public File pathToFile(Path path) {
        checkPath(path);
        return new File(root, path.toUri().getPath());
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        FileStatus local = super.getFileStatus(path); // its path is the local file's
        return new FileStatus(local.getLen(), local.isDirectory(), 1, local.getBlockSize(),
            local.getModificationTime(), makeQualified(path));
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        FileStatus status = getFileStatus(path);
        if (status.isFile()) {
            return new FileStatus[] {status};
        }
        String[] names = pathToFile(path).list();
        FileStatus[] children = new FileStatus[names.length];
        for (int i = 0; i < names.length; i++) {
            children[i] = getFileStatus(new Path(path, new Path(null, null, names[i]))); // a name may hold a colon
        }
        return children;
    }
}
