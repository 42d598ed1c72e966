import java.nio.file.Files
import java.nio.file.Path
import java.security.MessageDigest

/** The digest of the code in a checkout, which rust_ext/build.rs also writes into the extension. */
class Checkout {

    /**
     * sha256 over the sorted relative paths of all files under python/ and rust_ext/, each as
     * path, NUL, content, NUL; without hidden names, `target`, `__pycache__` and compiled files.
     */
    static String digest(Path root) {
        def sha = MessageDigest.getInstance('SHA-256')
        def names = ['python', 'rust_ext'].collectMany { folder -> files(root.resolve(folder), folder) }
        names.sort().each { name ->
            [name.getBytes('UTF-8'), Files.readAllBytes(root.resolve(name))].each { bytes ->
                sha.update(bytes)
                sha.update(0 as byte)
            }
        }
        return sha.digest().encodeHex().toString()
    }

    private static List<String> files(Path folder, String relative) {
        return folder.toFile().listFiles().toList().findAll { entry -> !ignored(entry.name) }.collectMany { entry ->
            def name = "${relative}/${entry.name}".toString()
            entry.directory ? files(entry.toPath(), name) : [name]
        }
    }

    private static boolean ignored(String name) {
        return name.startsWith('.') || name in ['target', '__pycache__'] || name ==~ /.*\.(so|pyc|pyd)/
    }
}
