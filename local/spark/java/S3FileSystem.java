import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PositionedReadable;
import org.apache.hadoop.fs.Seekable;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/**
 * s3://bucket/key by S3's own API at fs.s3.endpoint, with the credentials fs.s3.access.key, .secret.key and .session.token.
 *
 * As in EMRFS and S3A, a folder exists if keys are below it, a rename copies and deletes, and nothing is visible before it
 * is closed. Other than in these, a file is held in memory as a whole until then, and mkdirs leaves no marker.
 *
 * Janino compiles this: casts where a generic method returns, and no lambdas.
 */
public class S3FileSystem extends FileSystem {
    private URI uri;
    private String bucket;
    private String endpoint;
    private Path directory;

    public void initialize(URI name, Configuration conf) throws IOException {
        super.initialize(name, conf);
        bucket = name.getAuthority();
        uri = URI.create("s3://" + bucket);
        endpoint = conf.get("fs.s3.endpoint");
        directory = new Path("s3", bucket, "/");
    }

    public String getScheme() {
        return "s3";
    }

    public URI getUri() {
        return uri;
    }

    public Path getWorkingDirectory() {
        return directory;
    }

    public void setWorkingDirectory(Path path) {
        directory = path;
    }

    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        return new FSDataInputStream(new ObjectStream(this, path));
    }

    public FSDataOutputStream create(Path path, FsPermission permission, boolean overwrite, int bufferSize,
            short replication, long blockSize, Progressable progress) throws IOException {
        if (!overwrite && exists(path)) {
            throw new FileAlreadyExistsException(path + " exists");
        }
        return new FSDataOutputStream(new Upload(this, path), statistics);
    }

    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress) throws IOException {
        throw new UnsupportedOperationException("S3 can't append to an object");
    }

    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        return true;
    }

    public FileStatus getFileStatus(Path path) throws IOException {
        String key = key(path);
        if (!key.isEmpty()) {
            try {
                Map headers = call("HEAD", path, key, "", null, null).headers;
                Instant modified = Instant.from(DateTimeFormatter.RFC_1123_DATE_TIME.parse((String) headers.get("last-modified")));
                return file(path, Long.parseLong((String) headers.get("content-length")), modified);
            } catch (FileNotFoundException missing) {
                if (list(path, key + "/", "", null, 1).isEmpty()) {
                    throw new FileNotFoundException(path + ": no such object or folder");
                }
            }
        }
        return folder(path);
    }

    public FileStatus[] listStatus(Path path) throws IOException {
        FileStatus status = getFileStatus(path);
        if (status.isFile()) {
            return new FileStatus[] {status};
        }
        List found = list(path, prefix(path), "/", path, Integer.MAX_VALUE);
        return (FileStatus[]) found.toArray(new FileStatus[found.size()]);
    }

    public boolean delete(Path path, boolean recursive) throws IOException {
        FileStatus status;
        try {
            status = getFileStatus(path);
        } catch (FileNotFoundException missing) {
            return false;
        }
        if (status.isFile()) {
            call("DELETE", path, key(path), "", null, null);
            return true;
        }
        List keys = list(path, prefix(path), "", null, Integer.MAX_VALUE);
        if (!recursive && !keys.isEmpty()) {
            throw new IOException(path + " is not empty");
        }
        for (int i = 0; i < keys.size(); i++) {
            call("DELETE", path, (String) keys.get(i), "", null, null);
        }
        return true;
    }

    public boolean rename(Path source, Path target) throws IOException {
        FileStatus status = getFileStatus(source);
        try {
            if (getFileStatus(target).isFile()) {
                return false;
            }
            target = new Path(target, new Path(null, null, source.getName()));
        } catch (FileNotFoundException missing) {
            // It is the new name itself.
        }
        String from = key(source);
        List keys = new ArrayList();
        if (status.isFile()) {
            keys.add(from);
        } else {
            keys = list(source, from + "/", "", null, Integer.MAX_VALUE);
        }
        for (int i = 0; i < keys.size(); i++) {
            String key = (String) keys.get(i);
            call("PUT", target, key(target) + key.substring(from.length()), "", "/" + bucket + "/" + encoded(key, true), new byte[0]);
            call("DELETE", source, key, "", null, null);
        }
        return true;
    }

    private String key(Path path) {
        return makeQualified(path).toUri().getPath().substring(1);
    }

    private String prefix(Path path) {
        String key = key(path);
        return key.isEmpty() ? key : key + "/";
    }

    private FileStatus file(Path path, long length, Instant modified) {
        return new FileStatus(length, false, 1, getDefaultBlockSize(path), modified.toEpochMilli(), makeQualified(path));
    }

    private FileStatus folder(Path path) {
        return new FileStatus(0, true, 1, 0, 0, makeQualified(path));
    }

    /** List keys, or with a folder the statuses of its content; the folder's own marker counts only as a key. */
    private List list(Path path, String prefix, String delimiter, Path folder, int most) throws IOException {
        List found = new ArrayList();
        String token = "";
        do {
            String query = (token.isEmpty() ? "" : "continuation-token=" + encoded(token, false) + "&")
                + "delimiter=" + encoded(delimiter, false) + "&encoding-type=url&list-type=2&max-keys="
                + Math.min(most, getConf().getInt("fs.s3.paging.maximum", 1000)) + "&prefix=" + encoded(prefix, false);
            Element answer = xml(call("GET", path, "", query, null, null).body);
            NodeList objects = answer.getElementsByTagName("Contents");
            for (int i = 0; i < objects.getLength(); i++) {
                Element object = (Element) objects.item(i);
                String key = URLDecoder.decode(text(object, "Key"), "UTF-8");
                if (folder == null) {
                    found.add(key);
                } else if (!key.equals(prefix)) {
                    Path child = new Path(folder, new Path(null, null, key.substring(prefix.length())));
                    found.add(file(child, Long.parseLong(text(object, "Size")), Instant.parse(text(object, "LastModified"))));
                }
            }
            NodeList folders = answer.getElementsByTagName("CommonPrefixes");
            for (int i = 0; i < folders.getLength(); i++) {
                String name = URLDecoder.decode(text((Element) folders.item(i), "Prefix"), "UTF-8").substring(prefix.length());
                found.add(folder(new Path(folder, new Path(null, null, name.substring(0, name.length() - 1)))));
            }
            token = "true".equals(text(answer, "IsTruncated")) ? text(answer, "NextContinuationToken") : "";
        } while (!token.isEmpty() && found.size() < most);
        return found;
    }

    private static Element xml(byte[] body) throws IOException {
        try {
            return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new ByteArrayInputStream(body)).getDocumentElement();
        } catch (Exception malformed) {
            throw new IOException("S3's answer is no XML", malformed);
        }
    }

    private static String text(Element parent, String name) {
        NodeList found = parent.getElementsByTagName(name);
        return found.getLength() == 0 ? "" : found.item(0).getTextContent();
    }

    void upload(Path path, byte[] content) throws IOException {
        call("PUT", path, key(path), "", null, content);
    }

    /** Read a part of an object; beyond its end is an empty one, whose headers tell the length. */
    Answer read(Path path, long first, long length) throws IOException {
        return call("GET", path, key(path), "", null, null, "bytes=" + first + "-" + (first + length - 1));
    }

    private Answer call(String method, Path path, String key, String query, String copied, byte[] content) throws IOException {
        return call(method, path, key, query, copied, content, null);
    }

    /** Send a signed request, its query sorted by name; 404 is a FileNotFoundException and 403 an AccessDeniedException. */
    private Answer call(String method, Path path, String key, String query, String copied, byte[] content, String range)
            throws IOException {
        String resource = "/" + bucket + "/" + encoded(key, true);
        URL url = new URL(endpoint + resource + (query.isEmpty() ? "" : "?" + query));
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        connection.setRequestMethod(method);
        Map headers = new TreeMap();
        headers.put("host", url.getAuthority());
        if (copied != null) {
            headers.put("x-amz-copy-source", copied);
        }
        if (range != null) {
            headers.put("range", range);
        }
        sign(method, resource, query, headers);
        for (Object name : headers.keySet()) {
            connection.setRequestProperty((String) name, (String) headers.get(name));
        }
        if (content != null) {
            connection.setDoOutput(true);
            connection.setFixedLengthStreamingMode(content.length);
            connection.getOutputStream().write(content);
            connection.getOutputStream().close();
        }
        int status = connection.getResponseCode();
        InputStream stream = status < 400 ? connection.getInputStream() : connection.getErrorStream();
        byte[] body = stream == null ? new byte[0] : stream.readAllBytes();
        if (status == 404) {
            throw new FileNotFoundException(path + ": no such object");
        }
        if (status == 403) {
            throw new AccessDeniedException(path + ": Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)"
                + " on " + method + " of " + (key.isEmpty() ? "the bucket's list" : key));
        }
        if (status == 416) {
            body = new byte[0];
        } else if (status >= 400) {
            throw new IOException(path + ": S3 answered " + method + " with " + status + ": " + new String(body, StandardCharsets.UTF_8));
        }
        Map received = new TreeMap();
        for (Object name : connection.getHeaderFields().keySet()) {
            if (name != null) {
                received.put(((String) name).toLowerCase(), connection.getHeaderField((String) name));
            }
        }
        return new Answer(received, body);
    }

    /** Signature Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
    private void sign(String method, String resource, String query, Map headers) throws IOException {
        Configuration conf = getConf();
        String time = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC).format(Instant.now());
        headers.put("x-amz-date", time);
        headers.put("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        if (!conf.get("fs.s3.session.token", "").isEmpty()) {
            headers.put("x-amz-security-token", conf.get("fs.s3.session.token"));
        }
        StringBuilder canonical = new StringBuilder();
        for (Object name : headers.keySet()) {
            canonical.append(name).append(":").append(headers.get(name)).append("\n");
        }
        String signed = String.join(";", headers.keySet());
        String request = method + "\n" + resource + "\n" + query + "\n" + canonical + "\n" + signed + "\nUNSIGNED-PAYLOAD";
        String[] parts = new String[] {time.substring(0, 8), conf.get("fs.s3.region"), "s3", "aws4_request"};
        String scope = String.join("/", parts);
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(request.getBytes(StandardCharsets.UTF_8));
            byte[] secret = ("AWS4" + conf.get("fs.s3.secret.key")).getBytes(StandardCharsets.UTF_8);
            for (int i = 0; i < parts.length; i++) {
                secret = hmac(secret, parts[i]);
            }
            byte[] signature = hmac(secret, "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + hex(digest));
            headers.put("authorization", "AWS4-HMAC-SHA256 Credential=" + conf.get("fs.s3.access.key") + "/" + scope
                + ", SignedHeaders=" + signed + ", Signature=" + hex(signature));
        } catch (java.security.GeneralSecurityException impossible) {
            throw new IOException(impossible);
        }
    }

    private static byte[] hmac(byte[] secret, String text) throws java.security.GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret, "HmacSHA256"));
        return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < bytes.length; i++) {
            text.append(Character.forDigit((bytes[i] >> 4) & 15, 16)).append(Character.forDigit(bytes[i] & 15, 16));
        }
        return text.toString();
    }

    private static String encoded(String text, boolean isPath) {
        StringBuilder encoded = new StringBuilder();
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < bytes.length; i++) {
            char letter = (char) (bytes[i] & 255);
            boolean plain = letter < 128 && (Character.isLetterOrDigit(letter) || "-._~".indexOf(letter) >= 0);
            if (plain || isPath && letter == '/') {
                encoded.append(letter);
            } else {
                encoded.append('%').append(hex(new byte[] {bytes[i]}).toUpperCase());
            }
        }
        return encoded.toString();
    }

    private static class Answer {
        final Map headers;
        final byte[] body;

        Answer(Map headers, byte[] body) {
            this.headers = headers;
            this.body = body;
        }
    }

    /** What is written becomes an object when it is closed. */
    private static class Upload extends ByteArrayOutputStream {
        private final S3FileSystem system;
        private final Path path;
        private boolean closed;

        Upload(S3FileSystem system, Path path) {
            this.system = system;
            this.path = path;
        }

        public void close() throws IOException {
            if (!closed) {
                closed = true;
                system.upload(path, toByteArray());
            }
        }
    }

    /** Reads an object part by part: a little first, since often no more is wanted. */
    private static class ObjectStream extends InputStream implements Seekable, PositionedReadable {
        private final S3FileSystem system;
        private final Path path;
        private final long length;
        private byte[] part;
        private long first;
        private long position;

        ObjectStream(S3FileSystem system, Path path) throws IOException {
            this.system = system;
            this.path = path;
            Answer answer = system.read(path, 0, 1 << 16);
            String range = (String) answer.headers.get("content-range");
            part = answer.body;
            length = range == null ? part.length : Long.parseLong(range.substring(range.indexOf('/') + 1));
        }

        /** Have the part in memory that the position lies in; false at the end of the object. */
        private boolean fill() throws IOException {
            if (position >= length) {
                return false;
            }
            if (position < first || position >= first + part.length) {
                part = system.read(path, position, 1 << 23).body;
                first = position;
                if (part.length == 0) {
                    throw new EOFException(path + " has become shorter");
                }
            }
            return true;
        }

        public int read() throws IOException {
            return fill() ? part[(int) (position++ - first)] & 255 : -1;
        }

        public int read(byte[] buffer, int offset, int most) throws IOException {
            if (most == 0) {
                return 0;
            }
            if (!fill()) {
                return -1;
            }
            int size = (int) Math.min(most, first + part.length - position);
            System.arraycopy(part, (int) (position - first), buffer, offset, size);
            position += size;
            return size;
        }

        public int available() {
            return (int) Math.min(Integer.MAX_VALUE, length - position);
        }

        public void seek(long to) throws IOException {
            if (to < 0 || to > length) {
                throw new EOFException("no byte " + to + " in " + length);
            }
            position = to;
        }

        public long getPos() {
            return position;
        }

        public boolean seekToNewSource(long to) {
            return false;
        }

        public synchronized int read(long from, byte[] buffer, int offset, int most) throws IOException {
            long before = position;
            position = from;
            int size = read(buffer, offset, most);
            position = before;
            return size;
        }

        public void readFully(long from, byte[] buffer, int offset, int size) throws IOException {
            for (int done = 0; done < size;) {
                int some = read(from + done, buffer, offset + done, size - done);
                if (some < 0) {
                    throw new EOFException("no byte " + (from + size) + " in " + length);
                }
                done += some;
            }
        }

        public void readFully(long from, byte[] buffer) throws IOException {
            readFully(from, buffer, 0, buffer.length);
        }
    }
}
